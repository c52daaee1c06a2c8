"""Figures of how training went: learning curves of the best representations, losses of the best."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorascope.report.figures.base import Drawing, grey_key, layer_set_keys, legend
from lorascope.report.style import COLUMN_INCHES, series_of
from lorascope.report.summary import Summary

DASHED = (0, (4, 2))


def draw_learning(summary: Summary) -> Figure:
    """Validation accuracy of the three best representations, while half of the seeds still train."""
    rows, styles = summary.three_best, series_of(summary.layer_sets)
    figure = Figure(figsize=(COLUMN_INCHES, 2.1), layout="constrained")
    panels = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    for axes, row in zip(panels, rows, strict=True):
        axes.set_title(summary.label(row), fontsize=7)
        for layer_set, style in styles.items():
            _draw_curve(axes, summary.cell(row, layer_set), "validation_accuracy", style.colour, scale=100)
    figure.supxlabel("epoch", fontsize=8)
    panels[0].set_ylabel("validation accuracy (%)")
    legend(figure, layer_set_keys(styles, marker=False))
    return figure


def draw_losses(summary: Summary) -> Figure:
    """Training and validation loss of the best representation, one panel a layer set."""
    cells, styles = summary.best_row_cells, series_of(summary.layer_sets)
    figure = Figure(figsize=(COLUMN_INCHES, 2.2), layout="constrained")
    panels = figure.subplots(1, len(cells), sharex=True, sharey=True, squeeze=False)[0]
    for axes, cell in zip(panels, cells, strict=True):
        colour = styles[cell["layer_set"]].colour
        axes.set_title(f"{cell['representation']} × {cell['layer_set']}")
        _draw_curve(axes, cell, "train_loss", colour, linestyle=DASHED)
        _draw_curve(axes, cell, "validation_loss", colour)
        axes.set_xlabel("epoch")
    panels[0].set_ylabel("cross-entropy (nats)")
    panels[0].set_ylim(bottom=0)
    legend(figure, [grey_key("training", linestyle=DASHED), grey_key("validation")])
    return figure


def _draw_curve(
    axes: Axes, cell: dict | None, name: str, colour: str, scale: float = 1.0, linestyle="solid"
) -> None:
    if cell is None or not cell["seeds"]:
        return
    curves = cell["curves"]
    shown = np.array(curves["seeds"]) * 2 >= cell["seeds"]
    epochs, mean = (np.array(curves[key], dtype=float)[shown] for key in ("epoch", f"{name}_mean"))
    std = np.nan_to_num(np.array(curves[f"{name}_std"], dtype=float)[shown])
    axes.plot(epochs, scale * mean, color=colour, linewidth=1, linestyle=linestyle)
    axes.fill_between(
        epochs, scale * (mean - std), scale * (mean + std), color=colour, alpha=0.2, linewidth=0
    )


LEARNING = Drawing(
    "learning",
    "Learning curves of the three best representations",
    "Validation accuracy, mean and standard deviation over seeds, while half of them still train. "
    "The three are chosen by validation accuracy.",
    draw_learning,
)
LOSSES = Drawing(
    "losses",
    "Loss of the best representation",
    "Training and validation loss, mean and standard deviation over seeds, while half of them still train.",
    draw_losses,
)
