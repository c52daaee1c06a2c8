"""Figures with a row or a point per cell: accuracy, F1, parts and gap, precision and recall, cost."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lorascope.report.figures.base import (
    Drawing,
    grey_key,
    lanes,
    layer_set_keys,
    legend,
    mark_failure,
    row_axes,
)
from lorascope.report.style import COLUMN_INCHES, GRID, INK, MUTED, Series, series_of
from lorascope.report.summary import Summary
from lorascope.stats.cells import DONE

DASHED = (0, (4, 3))
PARTS = {"train": 0.25, "validation": 0.55, "test": 1.0}
F1_LINES = tuple(np.arange(1, 10) / 10)
CURVE_POINTS = 200
# Of a line of the key to numbered points.
KEY_LINE_INCHES = 0.15


def draw_accuracy(summary: Summary) -> Figure:
    """Test accuracy of every cell: mean, ± std over seeds (thick), 95 % test-set interval (thin)."""
    figure = _score_rows(summary, "test_accuracy", "test accuracy (%)", "test_accuracy_adapters")
    figure.axes[0].axvline(100 * summary.results["chance"], color=MUTED, linestyle=DASHED, linewidth=0.8)
    legend(
        figure,
        [
            *layer_set_keys(series_of(summary.layer_sets)),
            grey_key("± std over seeds", linewidth=4, alpha=0.45, solid_capstyle="butt"),
            grey_key("95 % test-set interval", linewidth=0.9),
            grey_key("chance", linewidth=0.8, linestyle=DASHED),
        ],
    )
    return figure


def draw_f1(summary: Summary) -> Figure:
    """Macro F1 on the test part: mean and ± std over seeds."""
    figure = _score_rows(summary, "test_f1", "test F1, macro (%)")
    spread = grey_key("± std over seeds", linewidth=4, alpha=0.45, solid_capstyle="butt")
    legend(figure, [*layer_set_keys(series_of(summary.layer_sets)), spread])
    return figure


def draw_parts(summary: Summary) -> Figure:
    """Accuracy on the three parts as bars, one panel a layer set; the gap is written beside them."""
    styles, rows = series_of(summary.layer_sets), summary.rows
    figure, panels = row_axes(summary, panels=len(styles), legend_rows=1, lane=0.15)
    for axes, (layer_set, style) in zip(panels, styles.items(), strict=True):
        axes.set_title(layer_set)
        axes.set_xlim(0, 118)
        axes.set_xticks(range(0, 101, 25))
        axes.set_xlabel("accuracy (%)")
        for y, row in enumerate(rows):
            _draw_parts(axes, summary.cell(row, layer_set), y, style)
    legend(figure, [Patch(color=MUTED, alpha=alpha, label=part) for part, alpha in PARTS.items()])
    return figure


def draw_precision_recall(summary: Summary) -> Figure:
    """Macro precision against macro recall of every cell, with lines of equal F1."""
    figure = _figure_of_points(summary, COLUMN_INCHES + 0.6)
    axes = figure.axes[0]
    recalls, precisions = (
        [100 * cell[f"test_{name}_mean"] for cell in summary.found] for name in ("recall", "precision")
    )
    low, high = _around([*recalls, *precisions])
    _draw_f1_lines(axes, low, high)
    _draw_numbered_points(figure, summary, list(zip(recalls, precisions, strict=True)))
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="recall, macro (%)", ylabel="precision, macro (%)")
    return figure


def draw_cost(summary: Summary) -> Figure:
    """Seconds of training per seed against test accuracy."""
    figure = _figure_of_points(summary, 3.2)
    axes = figure.axes[0]
    places = [(cell["seconds_mean"], 100 * cell["test_accuracy_mean"]) for cell in summary.found]
    _draw_numbered_points(figure, summary, places)
    axes.set_xlim(0, 1.08 * max(seconds for seconds, _ in places))
    axes.set_ylim(_around([share for _, share in places]))
    axes.set(xlabel="seconds of training per seed", ylabel="test accuracy (%)")
    return figure


def _around(shares: list[float]) -> tuple[float, float]:
    """Limits in steps of ten that leave room around shares in per cent."""
    return max(0.0, 10 * np.floor(min(shares) / 10 - 0.3)), min(100.0, 10 * np.ceil(max(shares) / 10 + 0.3))


def _draw_f1_lines(axes: Axes, low: float, high: float) -> None:
    for f1 in F1_LINES:
        recall = np.linspace(f1 / 2 + 1e-6, 1, CURVE_POINTS)
        precision = 100 * f1 * recall / (2 * recall - f1)
        axes.plot(100 * recall, precision, color=GRID, linewidth=0.8, zorder=0)
        at_edge = f1 * high / (2 * high - 100 * f1) * 100 if 2 * high > 100 * f1 else np.inf
        if low < at_edge < high:
            axes.text(high, at_edge, f"F1 {100 * f1:.0f}", size=6, color=MUTED, ha="right", va="bottom")


def _figure_of_points(summary: Summary, height: float) -> Figure:
    """Return a figure of ``height`` inches, higher where its key, a name a row, has over four lines."""
    lines = -(-len(summary.rows) // _key_columns(summary))
    figure = Figure(
        figsize=(COLUMN_INCHES, height + KEY_LINE_INCHES * max(0, lines - 4)), layout="constrained"
    )
    figure.subplots()
    return figure


def _key_columns(summary: Summary) -> int:
    """With several probes a name has two words."""
    return 3 if len(summary.probes) == 1 else 2


def _draw_numbered_points(figure: Figure, summary: Summary, places: list[tuple[float, float]]) -> None:
    """One point a cell that has results. Names would lie over each other: a number, and a key below."""
    styles, numbers = series_of(summary.layer_sets), {row: rank + 1 for rank, row in enumerate(summary.rows)}
    for cell, place in zip(summary.found, places, strict=True):
        style, number = styles[cell["layer_set"]], numbers[cell["representation"], cell["probe"]]
        looks = {"color": style.colour, "marker": style.marker, "alpha": 0.85, "markeredgewidth": 0}
        figure.axes[0].plot(*place, markersize=7, linestyle="", **looks)
        figure.axes[0].text(*place, str(number), size=5, color="white", ha="center", va="center_baseline")
    legend(figure, layer_set_keys(styles, line=False))
    names = [
        Line2D([], [], linestyle="", label=f"{rank} {summary.label(row)}") for row, rank in numbers.items()
    ]
    columns = _key_columns(summary)
    figure.legend(handles=names, loc="outside lower center", ncols=columns, handlelength=0, handletextpad=0)


def _score_rows(summary: Summary, metric: str, label: str, interval: str | None = None) -> Figure:
    rows, styles = summary.rows, series_of(summary.layer_sets)
    figure, panels = row_axes(summary, panels=1, legend_rows=2)
    for layer_set, y in lanes(summary.layer_sets, len(rows)):
        for row, position in zip(rows, y, strict=True):
            cell, style = summary.cell(row, layer_set), styles[layer_set]
            if cell and cell["seeds"]:
                _draw_score(panels[0], cell, position, style, metric, interval)
            elif cell:
                mark_failure(panels[0], position, cell, style)
    panels[0].set_xlim(left=0)
    panels[0].set_xlabel(label)
    return figure


def _draw_score(axes: Axes, cell: dict, y: float, style: Series, metric: str, interval: str | None) -> None:
    mean, std = 100 * cell[f"{metric}_mean"], cell[f"{metric}_std"]
    if interval:
        ends = [100 * cell[f"{interval}_{end}"] for end in ("low", "high")]
        axes.plot(ends, [y, y], color=style.colour, linewidth=0.9, marker="|", markersize=4)
    if std is not None:
        spread = [mean - 100 * std, mean + 100 * std]
        axes.plot(spread, [y, y], color=style.colour, linewidth=4, alpha=0.45, solid_capstyle="butt")
    partial = {} if cell["status"] == DONE else {"markerfacecolor": "none"}
    axes.plot([mean], [y], color=style.colour, marker=style.marker, markersize=4, **partial)


def _draw_parts(axes: Axes, cell: dict | None, y: float, style: Series) -> None:
    if cell is None:
        return
    if not cell["seeds"]:
        mark_failure(axes, y, cell, style)
        return
    for position, (part, alpha) in enumerate(PARTS.items()):
        share = 100 * cell[f"{part}_accuracy_mean"]
        axes.barh(y + 0.27 * (position - 1), share, 0.24, color=style.colour, alpha=alpha, linewidth=0)
    gap = f"{round(-100 * cell['train_test_gap']):+d}".replace("-", "−")
    end = 100 * cell["test_accuracy_mean"] + 2
    axes.text(end, y + 0.27, gap, size=6, color=INK, va="center")


ACCURACY = Drawing(
    "accuracy",
    "Test accuracy by representation",
    "Mean over seeds. The thick bar is the spread over seeds (± standard deviation), the thin line what the "
    "size of the test set leaves open (95 % interval), the dashed line chance.",
    draw_accuracy,
)
F1 = Drawing("f1", "F1 by representation", "Macro F1 on the test part, mean ± deviation over seeds.", draw_f1)
PARTS_AND_GAP = Drawing(
    "parts",
    "Training, validation, test",
    "Accuracy on the three parts, mean over seeds; the number is test minus training accuracy in points.",
    draw_parts,
)
PRECISION_RECALL = Drawing(
    "precision_recall",
    "Precision and recall",
    "Macro averages on the test part, mean over seeds; the lines join points of equal F1.",
    draw_precision_recall,
)
COST = Drawing(
    "cost",
    "Training cost",
    "Wall-clock seconds of one seed's training against test accuracy, means over seeds.",
    draw_cost,
)
