"""The rows of the figure and of the chart of controls."""

from lorascope.report.cautions import NAMES
from lorascope.report.summary import Summary
from lorascope.stats.controls import SINGLE

NO_LAYERS = "no layers"
BEST = "best cell"
SHARE = 100.0


def control_rows(summary: Summary) -> list[dict]:
    """Return one record a mark, in per cent: the best cell of every layer set first, then the controls."""
    controls = [row for row in summary.results["controls"] if row["accuracy"] is not None]
    if not controls:
        return []
    best = [cell for name in summary.layer_sets if (cell := _best_on(summary, name))]
    named = [_best_record(cell) for cell in best]
    single = [_record(row) for row in controls if row["control"] in SINGLE]
    permuted = [_record(row) for row in controls if _is_of_best(row, best)]
    order = [BEST, *NAMES.values()]
    return sorted(named + single + permuted, key=lambda record: order.index(record["row"]))


def _best_on(summary: Summary, layer_set: str) -> dict | None:
    own = [cell for cell in summary.found if cell["layer_set"] == layer_set]
    rank = lambda cell: (-cell["validation_accuracy_mean"], cell["validation_loss_mean"])  # noqa: E731
    return min(own, key=rank, default=None)


def _is_of_best(row: dict, best: list[dict]) -> bool:
    names = ("representation", "layer_set")
    return row["control"] == "permuted" and any(all(row[n] == cell[n] for n in names) for cell in best)


def _best_record(cell: dict) -> dict:
    ends = (cell[f"test_accuracy_adapters_{end}"] for end in ("low", "high"))
    words = f"{cell['representation']} ({cell['probe']})"
    return _mark(BEST, cell["layer_set"], cell["test_accuracy_mean"], ends, cell["chance"], words)


def _record(row: dict) -> dict:
    ends = row["accuracy_low"], row["accuracy_high"]
    words = row["representation"] or row["classifier"] or "–"
    name = NAMES[row["control"]]
    return _mark(name, row["layer_set"] or NO_LAYERS, row["accuracy"], ends, row["chance"], words)


def _mark(row: str, of: str, value: float, ends, chance: float, words: str) -> dict:
    low, high = (SHARE * end for end in ends)
    # The page filters by layer set alone; what is of no layers is always shown.
    keys = {"layer_set": None if of == NO_LAYERS else of, "representation": None, "probe": None}
    marks = {"value": SHARE * value, "low": low, "high": high, "chance": SHARE * chance}
    return {"row": row, **keys, "of": of, **marks, "by": words}
