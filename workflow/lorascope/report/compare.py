"""Two studies side by side: what changed in data, settings and versions, and what in the results."""

from dataclasses import dataclass, field
from pathlib import Path

from lorascope.files import write_bytes
from lorascope.report.charts import comparison_chart
from lorascope.report.numbers import interval, percent, points
from lorascope.report.page import PAGE_FILE, render
from lorascope.report.summary import Summary, load_summary
from lorascope.report.text import SIGNIFICANT, cell_name
from lorascope.stats.studies import PAIRED, compare_studies
from lorascope.wording import plural

ABSENT = "–"
HIGHER, LOWER, SAME = "higher", "lower", "no measurable difference"


@dataclass(frozen=True)
class Comparison:
    """Two summaries and what differs.

    Attributes:
        names: how the two are called, in order.
        changes: part ("data", "settings", "versions") → (name, first value, second value) of what differs.
        cells: records of :func:`lorascope.stats.studies.compare_studies`.
    """

    names: tuple[str, str]
    summaries: tuple[Summary, Summary]
    changes: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    cells: list[dict] = field(default_factory=list)

    @property
    def compared(self) -> list[dict]:
        """Cells that have results in both."""
        return [cell for cell in self.cells if "difference" in cell]

    @property
    def paired(self) -> bool:
        """Whether both tested the same adapters."""
        return bool(self.compared) and all(cell["method"] == PAIRED for cell in self.compared)


def compare(first: str | Path, second: str | Path, names: tuple[str, str] | None = None) -> Comparison:
    """Compare two studies, or two data sets of one.

    Args:
        first, second: summary folders.
        names: how the two are called; None: by their folders.

    Raises:
        LorascopeError: one of them has no readable summary.
    """
    summaries = load_summary(first), load_summary(second)
    results = [summary.results for summary in summaries]
    parts = {
        "data": [_data(result) for result in results],
        "settings": [_flat(result["settings"]) for result in results],
        "versions": [result["versions"] for result in results],
    }
    return Comparison(
        names=names or (str(first), str(second)),
        summaries=summaries,
        changes={part: _changes(*sides) for part, sides in parts.items()},
        cells=compare_studies(*(summary.cells for summary in summaries), first, second),
    )


def comparison_text(comparison: Comparison) -> str:
    """What changed, in lines for the terminal."""
    first, second = comparison.names
    lines = [f"A: {first}", f"B: {second}", "", answer(comparison), ""]
    for part, changes in comparison.changes.items():
        lines.append(f"{part}: {plural(len(changes), 'difference')}")
        lines += [f"  {name}: {before} → {after}" for name, before, after in changes]
    lines += ["", "results (test accuracy, A → B)"]
    lines += [f"  {_cell_line(cell)}" for cell in comparison.cells]
    return "\n".join(lines) + "\n"


def write_comparison(comparison: Comparison, out_dir: str | Path) -> Path:
    """Write the page of a comparison; return its path."""
    page = render(
        "compare.html",
        {"compare": comparison_chart(comparison.cells)} if comparison.compared else {},
        {"compared": _chart_table(comparison)},
        title="Two studies · lorascope",
        comparison=comparison,
        answer=answer(comparison),
        kinds=[kind(cell) for cell in comparison.cells],
        layer_sets=_values(comparison.cells, "layer_set"),
        representations=_values(comparison.cells, "representation"),
        probes=_values(comparison.cells, "probe"),
    )
    path = Path(out_dir) / PAGE_FILE
    write_bytes(path, page.encode())
    return path


def answer(comparison: Comparison) -> str:
    """The comparison in one sentence."""
    compared = comparison.compared
    if not compared:
        return "The two have no finished cell in common."
    kinds = [kind(cell) for cell in compared]
    counted = [f"{name} in {kinds.count(name)}" for name in (HIGHER, LOWER) if name in kinds]
    common = plural(len(compared), "common cell")
    if not counted:
        return f"None of {common} differs measurably."
    return f"B is measurably {' and '.join(counted)} of {common}."


def kind(cell: dict) -> str:
    """What the numbers of a cell allow to say; paired cells go by their corrected test."""
    if "difference" not in cell:
        return f"A {cell['first_status']}, B {cell['second_status']}"
    measurable = (
        cell["p_holm"] < SIGNIFICANT
        if cell["method"] == PAIRED
        else cell["difference_low"] > 0 or cell["difference_high"] < 0
    )
    if not measurable:
        return SAME
    return HIGHER if cell["difference"] > 0 else LOWER


def _cell_line(cell: dict) -> str:
    name = cell_name(cell)
    if "difference" not in cell:
        return f"{name}: {kind(cell)}"
    within = interval(cell["difference_low"], cell["difference_high"])
    shares = f"{percent(cell['first'])} → {percent(cell['second'])}"
    return f"{name}: {shares}, {points(cell['difference'])} {within}: {kind(cell)}"


def _data(results: dict) -> dict[str, str]:
    manifest = results["manifest"]
    split = ", ".join(f"{part} {count}" for part, count in manifest["split"].items())
    names = ("adapters", "classes", "layers", "matrices", "parameters", "digest")
    return {"data set": results["dataset"], **{name: manifest[name] for name in names}, "split": split}


def _flat(settings: dict, prefix: str = "") -> dict[str, object]:
    """Nested settings → dotted names."""
    flat = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _changes(first: dict, second: dict) -> list[tuple[str, str, str]]:
    names = dict.fromkeys([*first, *second])
    return [
        (name, _words(first, name), _words(second, name))
        for name in names
        if first.get(name) != second.get(name) or (name in first) != (name in second)
    ]


def _words(side: dict, name: str) -> str:
    value = side.get(name, ABSENT)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _values(cells: list[dict], name: str) -> list[str]:
    return list(dict.fromkeys(cell[name] for cell in cells))


def _chart_table(comparison: Comparison) -> dict[str, list]:
    keys = ("layer_set", "representation", "probe")
    rows = [
        {
            "row": cell_name(cell),
            **{key: cell[key] for key in keys},
            "study": label,
            "value": round(100 * cell[side], 3),
            "low": round(100 * cell[f"{side}_low"], 3),
            "high": round(100 * cell[f"{side}_high"], 3),
        }
        for cell in comparison.cells
        for side, label in (("first", "A"), ("second", "B"))
        if cell[side] is not None
    ]
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
