"""Learning curves of several data sets side by side: one table, one figure."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from lorascope.errors import LorascopeError
from lorascope.files import read_json, write_bytes, write_table
from lorascope.report.figures.base import Drawing, save_drawings
from lorascope.report.figures.sizes import SIZES, draw_curves
from lorascope.report.numbers import interval, share
from lorascope.report.summary import Summary
from lorascope.stats.adapters import read_adapters
from lorascope.stats.aggregate import csv_bytes
from lorascope.stats.sizes import sizes_table


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
    # The first layer set is the reference; more of them would not be told apart beside several data sets.
    reference = [record for record in records if record["layer_set"] == records[0]["layer_set"]]
    drawing = Drawing(SIZES.name, SIZES.title, SIZES.caption, draw=_draw)
    save_drawings([drawing], Summary({"sizes": reference, "sanity": False}), out_dir)
    return _lines(records)


def _adapters(study: dict):
    return read_adapters(study["adapters"], read_json(study["manifest"]))


def _draw(summary: Summary):
    return draw_curves(summary.sizes, "dataset")


def _lines(records: list[dict]) -> list[str]:
    lines = []
    names = ("dataset", "representation", "layer_set", "probe")
    for curve in dict.fromkeys(tuple(record[name] for name in names) for record in records):
        own = [record for record in records if tuple(record[name] for name in names) == curve]
        points = (
            f"{record['train_adapters']:,}: {share(record['test_accuracy_mean'])} "
            f"{interval(record['test_accuracy_adapters_low'], record['test_accuracy_adapters_high'])}"
            for record in own
        )
        lines.append(f"{curve[0]}: {curve[1]} × {curve[2]} ({curve[3]}): {', '.join(points)}")
    return lines
