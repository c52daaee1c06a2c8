"""The numbers behind the interactive charts: flat tables, each row of which names the cell it belongs to.

Shares are in per cent here, because the charts' axes are. Every table has the columns ``row`` (label),
``layer_set``, ``representation`` and ``probe``, by which the page filters
(a table that lacks one of them, or a row that has none, is not filtered by it).
"""

from lorascope.report import layer_charts
from lorascope.report.control_rows import control_rows
from lorascope.report.summary import Summary

SHARE, PLAIN = 100.0, 1.0
# What the chart of scores can show: label → (metric of a cell, factor).
MEASURES = {
    "test accuracy (%)": ("test_accuracy", SHARE),
    "F1, macro (%)": ("test_f1", SHARE),
    "precision, macro (%)": ("test_precision", SHARE),
    "recall, macro (%)": ("test_recall", SHARE),
    "accuracy in the top 3 (%)": ("test_top3_accuracy", SHARE),
    "area under the ROC curve (%)": ("test_auroc", SHARE),
    "Matthews' correlation": ("test_mcc", PLAIN),
    "validation accuracy (%)": ("validation_accuracy", SHARE),
    "calibration error (%)": ("test_ece", SHARE),
    "Brier score": ("test_brier", PLAIN),
    "loss (nats)": ("test_loss", PLAIN),
    "seconds per seed": ("seconds", PLAIN),
}
ACCURACY = "test accuracy (%)"
DROPS = {"points": "drop", "per cent of the reference": "relative_drop"}
CURVES = {
    "validation accuracy (%)": ("validation_accuracy", SHARE),
    "validation loss (nats)": ("validation_loss", PLAIN),
    "training loss (nats)": ("train_loss", PLAIN),
}
CLASS_MEASURES = ("recall", "precision", "f1")
PARTS = ("train", "validation", "test")
# More digits would only make the page larger.
DIGITS = 3


def chart_data(summary: Summary) -> dict[str, dict[str, list]]:
    """Return every table as name → column → values."""
    tables = {
        "scores": _scores(summary),
        "unfinished": _unfinished(summary),
        "means": _means(summary),
        "controls": control_rows(summary),
        "parts": _parts(summary),
        "drops": _drops(summary),
        "unfinished_drops": _unfinished_drops(summary),
        "curves": _curves(summary),
        "classes": _classes(summary),
        "reliability": _reliability(summary),
        **layer_charts.tables(summary),
    }
    return {name: _columns(records) for name, records in tables.items()}


def _columns(records: list[dict]) -> dict[str, list]:
    names = records[0] if records else ()
    return {name: [_rounded(record[name]) for record in records] for name in names}


def _rounded(value: object) -> object:
    return round(value, DIGITS) if isinstance(value, float) else value


def _cell(record: dict, summary: Summary) -> dict:
    names = ("layer_set", "representation", "probe")
    return {"row": summary.label_of(record), **{name: record[name] for name in names}}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _scores(summary: Summary) -> list[dict]:
    records = []
    for cell in summary.found:
        for label, (metric, factor) in MEASURES.items():
            mean, std = _times(cell[f"{metric}_mean"], factor), _times(cell[f"{metric}_std"], factor)
            spread = mean is not None and std is not None
            accuracy = label == ACCURACY
            records.append(
                {
                    **_cell(cell, summary),
                    "measure": label,
                    "value": mean,
                    "std": std,
                    "std_low": mean - std if spread else None,
                    "std_high": mean + std if spread else None,
                    "low": SHARE * cell["test_accuracy_adapters_low"] if accuracy else None,
                    "high": SHARE * cell["test_accuracy_adapters_high"] if accuracy else None,
                    "chance": SHARE * cell["chance"] if accuracy else None,
                    "seeds": cell["seeds"],
                    "status": cell["status"],
                }
            )
    return records


def _unfinished(summary: Summary) -> list[dict]:
    return [
        {
            **_cell(cell, summary),
            "words": f"✕ {cell['layer_set']}: {cell['status']}",
            "reason": cell["reason"],
        }
        for cell in summary.unfinished
        if not cell["seeds"]
    ]


def _means(summary: Summary) -> list[dict]:
    shares = {
        "accuracy": "test_accuracy",
        "precision": "test_precision",
        "recall": "test_recall",
        "f1": "test_f1",
    }
    return [
        {
            **_cell(cell, summary),
            **{name: SHARE * cell[f"{metric}_mean"] for name, metric in shares.items()},
            "seconds": cell["seconds_mean"],
            "features": cell["features"],
        }
        for cell in summary.found
    ]


def _parts(summary: Summary) -> list[dict]:
    return [
        {
            **_cell(cell, summary),
            "part": part,
            "accuracy": SHARE * cell[f"{part}_accuracy_mean"],
            "gap": SHARE * cell["train_test_gap"],
        }
        for cell in summary.found
        for part in PARTS
    ]


def _drops(summary: Summary) -> list[dict]:
    return [
        {
            **_cell(drop, summary),
            "measure": label,
            "value": SHARE * drop[name],
            "low": _times(drop[f"{name}_low"], SHARE),
            "high": _times(drop[f"{name}_high"], SHARE),
            "p_holm": drop["p_holm"],
        }
        for drop in summary.results["drops"]
        for label, name in DROPS.items()
        if drop[name] is not None
    ]


def _unfinished_drops(summary: Summary) -> list[dict]:
    return [
        {**_cell(drop, summary), "words": f"✕ {drop['reason']}"}
        for drop in summary.results["drops"]
        if drop["drop"] is None
    ]


def _curves(summary: Summary) -> list[dict]:
    """Means while half of the seeds still train, as in the figures."""
    ranks = {row: rank for rank, row in enumerate(summary.three_best)}
    records = []
    for cell in summary.found:
        curves, best = cell["curves"], (cell["representation"], cell["probe"]) in ranks
        for position, epoch in enumerate(curves["epoch"]):
            if 2 * curves["seeds"][position] < cell["seeds"]:
                break
            for label, (name, factor) in CURVES.items():
                mean = _times(curves[f"{name}_mean"][position], factor)
                std = _times(curves[f"{name}_std"][position], factor) or 0.0
                records.append(
                    {
                        **_cell(cell, summary),
                        "best": best,
                        "measure": label,
                        "epoch": epoch,
                        "value": mean,
                        # No curve goes below zero, but mean minus deviation may.
                        "low": None if mean is None else max(0.0, mean - std),
                        "high": None if mean is None else mean + std,
                    }
                )
    return records


def _classes(summary: Summary) -> list[dict]:
    return [
        {
            **_cell(cell, summary),
            "class": entry["class"],
            "measure": measure,
            "value": _times(entry[f"{measure}_mean"], SHARE),
            "adapters": entry["adapters"],
        }
        for cell in summary.found
        for entry in cell["per_class"]
        for measure in CLASS_MEASURES
    ]


def _reliability(summary: Summary) -> list[dict]:
    shares = {
        "confidence": "confidence",
        "accuracy": "accuracy",
        "low": "accuracy_low",
        "high": "accuracy_high",
    }
    return [
        {
            **_cell(cell, summary),
            **{name: SHARE * entry[source] for name, source in shares.items()},
            "adapters": entry["adapters"],
        }
        for cell in summary.found
        for entry in cell["reliability"]
        if entry["part"] == "test"
    ]
