"""Learning curves of several data sets side by side: one table, one figure."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from lorascope.adapters.layer_sets import reference_layer_set
from lorascope.errors import LorascopeError
from lorascope.files import read_json, write_bytes, write_table
from lorascope.report.figures.base import Drawing, save_drawings
from lorascope.report.figures.sizes import SIZES, draw_curves
from lorascope.report.numbers import NOTHING, interval, percent, share
from lorascope.report.summary import Summary
from lorascope.stats.adapters import read_adapters
from lorascope.stats.aggregate import csv_bytes
from lorascope.stats.sizes import sizes_table
from lorascope.wording import plural


def write_scaling(studies: Sequence[dict], out_dir: str | Path) -> list[str]:
    """Write ``sizes.parquet``, ``sizes.csv`` and the figure ``sizes`` of all data sets of a study.

    Args:
        studies: what ``aggregate`` is given, one a data set.
        out_dir: folder to write into.

    Returns:
        A line for each curve: data set, method, and the accuracy of each share.

    Raises:
        LorascopeError: there is no curve, or a file is unreadable.
    """
    tables = [sizes_table(study["curves"], _adapters(study)) for study in studies]
    table = pa.concat_tables(tables)
    if not table.num_rows:
        raise LorascopeError("no learning curve; set scaling.fractions, and run the target `scaling`")
    out_dir = Path(out_dir)
    write_table(out_dir / "sizes.parquet", table)
    write_bytes(out_dir / "sizes.csv", csv_bytes(table))
    records = table.to_pylist()
    # More layer sets would not be told apart beside several data sets.
    reference = reference_layer_set(record["layer_set"] for record in records)
    shown = [record for record in records if record["layer_set"] == reference]
    drawing = Drawing(SIZES.name, SIZES.title, SIZES.caption, draw=_draw)
    save_drawings([drawing], Summary({"sizes": shown, "sanity": False}), out_dir)
    return curve_lines(records)


def _adapters(study: dict):
    return read_adapters(study["adapters"], read_json(study["manifest"]))


def _draw(summary: Summary):
    return draw_curves(summary.sizes, "dataset")


def curve_lines(records: list[dict]) -> list[str]:
    """Return a line for each curve: data set, method, and the accuracy of each share."""
    lines = []
    for (dataset, *method), own in _curves(records).items():
        points = (f"{record['train_adapters']:,}: {_accuracy(record)}" for record in own)
        lines.append(f"{dataset}: {_words(*method)}: {', '.join(points)}")
    return lines


def _curves(records: list[dict]) -> dict[tuple, list[dict]]:
    """Return the points of each curve, by data set, representation, layer set and probe."""
    curves = {}
    for record in records:
        name = tuple(record[key] for key in ("dataset", "representation", "layer_set", "probe"))
        curves.setdefault(name, []).append(record)
    return curves


def _words(representation: str, layer_set: str, probe: str) -> str:
    return f"{representation} × {layer_set} ({probe})"


def _accuracy(record: dict) -> str:
    ends = record["test_accuracy_adapters_low"], record["test_accuracy_adapters_high"]
    return f"{share(record['test_accuracy_mean'])} {interval(*ends)}"


def markdown(records: list[dict]) -> str:
    """Return the points as Markdown, one table a data set: a row a method, a column a size."""
    tables = []
    for dataset in dict.fromkeys(record["dataset"] for record in records):
        own = {name: points for name, points in _curves(records).items() if name[0] == dataset}
        sizes = sorted({point["train_adapters"] for points in own.values() for point in points})
        first = next(iter(own.values()))[0]
        rows = [
            f"{dataset}: {first['test_adapters']:,} test adapters, chance {percent(first['chance'])}, "
            f"{plural(first['seeds'], 'seed')}.",
            "",
            f"| method | {' | '.join(f'{size:,}' for size in sizes)} |",
            f"| --- |{' ---: |' * len(sizes)}",
        ]
        for (_, *method), points in own.items():
            at = {point["train_adapters"]: _accuracy(point) for point in points}
            rows.append(f"| {_words(*method)} | {' | '.join(at.get(size, NOTHING) for size in sizes)} |")
        tables.append("\n".join(rows))
    return "\n\n".join(tables)
