"""Figures of single answers: which classes are found and confused, and whether confidence is deserved."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorascope.report.figures.base import Drawing, grey_key, layer_set_keys, legend
from lorascope.report.style import COLUMN_INCHES, INK, MUTED, series_of
from lorascope.report.summary import Summary

# Above this share (in per cent) the cell is so dark that its number must be white.
DARK = 55


def draw_confusion(summary: Summary) -> Figure:
    """Test confusion matrices of the best representation, mean over seeds, per cent of the true class."""
    cells, classes = summary.best_row_cells, summary.results["classes"]
    figure = Figure(figsize=(COLUMN_INCHES, 0.3 + 3.1 * len(cells)), layout="constrained")
    for axes, cell in zip(figure.subplots(len(cells), 1, squeeze=False)[:, 0], cells, strict=True):
        counts = np.array(cell["confusions"]["test"])
        shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        _draw_shares(axes, shares, classes, classes)
        axes.set_title(f"{cell['representation']} × {cell['layer_set']}")
        axes.set_ylabel("true class")
    figure.axes[-1].set_xlabel("named class")
    return figure


def draw_classes(summary: Summary) -> Figure:
    """Recall of every class by representation, per cent, one panel a layer set."""
    classes = summary.results["classes"]
    finished = {
        layer_set: [row for row in summary.rows if (cell := summary.cell(row, layer_set)) and cell["seeds"]]
        for layer_set in summary.layer_sets
    }
    finished = {layer_set: rows for layer_set, rows in finished.items() if rows}
    heights = [len(rows) for rows in finished.values()]
    figure = Figure(
        figsize=(COLUMN_INCHES, 0.9 + 0.4 * len(heights) + 0.19 * sum(heights)), layout="constrained"
    )
    panels = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (layer_set, rows) in zip(panels, finished.items(), strict=True):
        recalls = [
            [entry["recall_mean"] for entry in summary.cell(row, layer_set)["per_class"]] for row in rows
        ]
        shares = 100 * np.array(recalls, dtype=float)
        _draw_shares(axes, shares, [summary.label(row) for row in rows], classes)
        axes.set_title(layer_set)
    return figure


def draw_calibration(summary: Summary) -> Figure:
    """Reliability curves of the best representation: accuracy against confidence, one curve a layer set."""
    styles = series_of(summary.layer_sets)
    figure = Figure(figsize=(COLUMN_INCHES, COLUMN_INCHES), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    for cell in summary.best_row_cells:
        style = styles[cell["layer_set"]]
        bins = [entry for entry in cell["reliability"] if entry["part"] == "test"]
        confidence, accuracy, low, high = (
            100 * np.array([entry[name] for entry in bins])
            for name in ("confidence", "accuracy", "accuracy_low", "accuracy_high")
        )
        axes.vlines(confidence, low, high, color=style.colour, linewidth=0.7, alpha=0.6)
        axes.plot(confidence, accuracy, color=style.colour, marker=style.marker, markersize=4)
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="confidence (%)", ylabel="accuracy (%)")
    axes.set_title(summary.label(summary.best_row))
    legend(figure, [*layer_set_keys(styles), grey_key("calibrated", linewidth=0.8, linestyle=(0, (4, 3)))])
    return figure


def _draw_shares(axes: Axes, shares: np.ndarray, rows: list[str], columns: list[str]) -> None:
    # Rectangles, not an image: the SVG and the PDF stay sharp.
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=100, edgecolor="white", linewidth=0.4)
    for (row, column), share in np.ndenumerate(shares):
        if np.isfinite(share):
            colour = "white" if share > DARK else INK
            axes.text(column + 0.5, row + 0.5, f"{share:.0f}", ha="center", va="center", size=6, color=colour)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=45, ha="right")
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)


CONFUSION = Drawing(
    "confusion",
    "Confusion matrices of the best representation",
    "Per cent of the true class, mean over seeds, on the test part.",
    draw_confusion,
    themed=False,
)
CLASSES = Drawing(
    "classes",
    "Recall by class",
    "Per cent of each class's test adapters that are named so, mean over seeds.",
    draw_classes,
    themed=False,
)
CALIBRATION = Drawing(
    "calibration",
    "Reliability of the best representation",
    "How often the named class is right (with 95 % interval) against the probability that the probe gives "
    "it, on the test part, all seeds pooled. Below the dashed line the probe is too sure of itself.",
    draw_calibration,
)
