"""The figures of a study, drawn with matplotlib and saved as SVG, PDF and PNG with reproducible bytes."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lorascope.files import write_bytes
from lorascope.report.style import COLUMN_INCHES, GRID, INK, MUTED, RC, series_of
from lorascope.report.summary import Summary
from lorascope.stats.cells import DONE

FORMATS = ("svg", "pdf", "png")
# Dates and version strings would change the bytes without changing the picture.
NO_METADATA = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
PANEL_COLUMNS = 3
SANITY_NOTE = "sanity check only: tested on the training adapters"


@dataclass(frozen=True)
class Drawing:
    """A named figure and the caption that belongs to it."""

    name: str
    title: str
    caption: str
    draw: Callable[[Summary], Figure]


def save_figures(summary: Summary, folder: str | Path) -> dict[str, str]:
    """Draw every figure that the study has data for into ``folder``; return name → SVG text."""
    texts = {}
    with mpl.rc_context(RC):
        for drawing in drawings(summary):
            figure = drawing.draw(summary)
            if summary.results["sanity"]:
                _mark_sanity(figure)
            # Laying out is the slow part: once, not once a format.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            saved = {extension: _rendered(figure, extension) for extension in FORMATS}
            for extension, content in saved.items():
                write_bytes(Path(folder) / f"{drawing.name}.{extension}", content)
            texts[drawing.name] = saved["svg"].decode()
    return texts


def _mark_sanity(figure: Figure) -> None:
    # A figure's title and a legend outside the axes would be laid out over each other.
    if figure.legends:
        figure.legends[0].set_title(SANITY_NOTE, prop={"size": 7, "style": "italic"})
    else:
        figure.suptitle(SANITY_NOTE, fontsize=7, style="italic")


def _rendered(figure: Figure, extension: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=extension, metadata=NO_METADATA[extension])
    return buffer.getvalue()


def drawings(summary: Summary) -> list[Drawing]:
    """Choose the figures that the study has data for."""
    if not summary.found:
        return []
    compared = [DROPS] if any(drop["drop"] is not None for drop in summary.results["drops"]) else []
    return [ACCURACY, *compared, LEARNING, LOSSES, CONFUSION]


def draw_accuracy(summary: Summary) -> Figure:
    """Test accuracy of every cell: mean, ± std over seeds (thick), 95 % test-set interval (thin)."""
    rows, styles = summary.rows, series_of(summary.layer_sets)
    figure, axes = _row_axes(summary, panels=1, legend_rows=2)
    axes = axes[0]
    for layer_set, y in _lanes(summary.layer_sets, len(rows)):
        for row, position in zip(rows, y, strict=True):
            _draw_cell(axes, summary.cell(row, layer_set), position, styles[layer_set])
    axes.axvline(100 * summary.results["chance"], color=MUTED, linestyle=(0, (4, 3)), linewidth=0.8)
    axes.set_xlim(left=0)
    axes.set_xlabel("test accuracy (%)")
    extra = [
        Line2D([], [], color=MUTED, linewidth=4, alpha=0.45, solid_capstyle="butt", label="± std over seeds"),
        Line2D([], [], color=MUTED, linewidth=0.9, label="95 % test-set interval"),
        Line2D([], [], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), label="chance"),
    ]
    _legend(figure, [*_layer_set_keys(styles), *extra])
    return figure


def draw_drops(summary: Summary) -> Figure:
    """Absolute and relative drop of every representation with 95 % test-set intervals."""
    reference, rows = summary.results["reference"], summary.rows
    others = [name for name in summary.layer_sets if name != reference]
    styles = series_of(summary.layer_sets)
    figure, panels = _row_axes(summary, panels=2, legend_rows=1)
    for axes, name, label in zip(
        panels, ("drop", "relative_drop"), ("drop (points)", "relative drop (%)"), strict=True
    ):
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(label)
        for layer_set, y in _lanes(others, len(rows)):
            for row, position in zip(rows, y, strict=True):
                _draw_drop(axes, summary.drop(row, layer_set), name, position, styles[layer_set])
    keys = _layer_set_keys({f"{reference} → {name}": styles[name] for name in others})
    hollow = Line2D([], [], color=MUTED, marker="o", markerfacecolor="none", markersize=4, label="holds 0")
    _legend(figure, [*keys, hollow])
    return figure


def draw_learning(summary: Summary) -> Figure:
    """Validation accuracy per epoch, one panel a representation, while half of the seeds still train."""
    rows, styles = summary.rows, series_of(summary.layer_sets)
    height = -(-len(rows) // PANEL_COLUMNS)
    figure = Figure(figsize=(COLUMN_INCHES, 0.7 + 1.05 * height), layout="constrained")
    grid = figure.subplots(height, PANEL_COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, row in zip(grid, rows, strict=False):
        axes.set_title(summary.label(row), fontsize=6.5, pad=2)
        for layer_set, style in styles.items():
            _draw_curve(axes, summary.cell(row, layer_set), "validation_accuracy", style.colour, scale=100)
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    figure.supxlabel("epoch", fontsize=8)
    figure.supylabel("validation accuracy (%)", fontsize=8)
    _legend(figure, _layer_set_keys(styles, marker=False))
    return figure


def draw_losses(summary: Summary) -> Figure:
    """Training and validation loss of the best representation, one panel a layer set."""
    cells = _best_row_cells(summary)
    styles = series_of(summary.layer_sets)
    figure = Figure(figsize=(COLUMN_INCHES, 2.2), layout="constrained")
    panels = figure.subplots(1, len(cells), sharex=True, sharey=True, squeeze=False)[0]
    for axes, cell in zip(panels, cells, strict=True):
        colour = styles[cell["layer_set"]].colour
        axes.set_title(f"{cell['representation']} × {cell['layer_set']}")
        _draw_curve(axes, cell, "train_loss", colour, linestyle=(0, (4, 2)))
        _draw_curve(axes, cell, "validation_loss", colour)
        axes.set_xlabel("epoch")
    panels[0].set_ylabel("cross-entropy (nats)")
    panels[0].set_ylim(bottom=0)
    keys = [
        Line2D([], [], color=MUTED, linestyle=(0, (4, 2)), label="training"),
        Line2D([], [], color=MUTED, label="validation"),
    ]
    _legend(figure, keys)
    return figure


def draw_confusion(summary: Summary) -> Figure:
    """Test confusion matrices of the best representation, mean over seeds, per cent of the true class."""
    cells, classes = _best_row_cells(summary), summary.results["classes"]
    figure = Figure(figsize=(COLUMN_INCHES, 0.3 + 3.1 * len(cells)), layout="constrained")
    for axes, cell in zip(figure.subplots(len(cells), 1, squeeze=False)[:, 0], cells, strict=True):
        counts = np.array(cell["confusions"]["test"])
        shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        # Rectangles, not an image: the SVG and the PDF stay sharp.
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=100, edgecolor="white", linewidth=0.4)
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 55 else INK
            axes.text(column + 0.5, row + 0.5, f"{share:.0f}", ha="center", va="center", size=6, color=colour)
        axes.set_xticks(np.arange(len(classes)) + 0.5, classes, rotation=45, ha="right")
        axes.set_yticks(np.arange(len(classes)) + 0.5, classes)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_title(f"{cell['representation']} × {cell['layer_set']}")
        axes.set_ylabel("true class")
    figure.axes[-1].set_xlabel("named class")
    return figure


ACCURACY = Drawing(
    "accuracy",
    "Test accuracy by representation",
    "Mean over seeds. The thick bar is the spread over seeds (± standard deviation), the thin line what the "
    "size of the test set leaves open (95 % interval).",
    draw_accuracy,
)
DROPS = Drawing(
    "drops",
    "Drop by representation",
    "Both layer sets are scored on the same adapters; the lines are 95 % test-set intervals, "
    "hollow marks those that hold 0.",
    draw_drops,
)
LEARNING = Drawing(
    "learning",
    "Learning curves",
    "Validation accuracy, mean and standard deviation over seeds, while half of them still train.",
    draw_learning,
)
LOSSES = Drawing(
    "losses",
    "Loss of the best representation",
    "Training and validation loss, mean and standard deviation over seeds, while half of them still train.",
    draw_losses,
)
CONFUSION = Drawing(
    "confusion",
    "Confusion matrices of the best representation",
    "Per cent of the true class, mean over seeds, on the test part.",
    draw_confusion,
)


def _row_axes(summary: Summary, panels: int, legend_rows: int) -> tuple[Figure, np.ndarray]:
    """Axes with one horizontal row per representation, the best on top."""
    rows = summary.rows
    lanes = max(1, len(summary.layer_sets))
    height = 0.75 + 0.14 * legend_rows + len(rows) * (0.1 + 0.11 * lanes)
    figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
    grid = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    grid[0].set_yticks(range(len(rows)), [summary.label(row) for row in rows])
    grid[0].set_ylim(len(rows) - 0.5, -0.5)
    for axes in grid:
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        for boundary in np.arange(0.5, len(rows) - 1):
            axes.axhline(boundary, color=GRID, linewidth=0.4, zorder=0)
    return figure, grid


def _lanes(layer_sets: list[str], rows: int) -> list[tuple[str, np.ndarray]]:
    """Spread the layer sets over the height of each row."""
    offsets = (np.arange(len(layer_sets)) - (len(layer_sets) - 1) / 2) * 0.7 / max(1, len(layer_sets))
    return [(name, np.arange(rows) + offset) for name, offset in zip(layer_sets, offsets, strict=True)]


def _draw_cell(axes: Axes, cell: dict | None, y: float, style) -> None:
    if cell is None:
        return
    if not cell["seeds"]:
        _note(axes, y, f"✕ {cell['layer_set']}: {cell['status']}", style.colour)
        return
    mean = 100 * cell["test_accuracy_mean"]
    ends = [100 * cell[f"test_accuracy_adapters_{end}"] for end in ("low", "high")]
    axes.plot(ends, [y, y], color=style.colour, linewidth=0.9, marker="|", markersize=4)
    if (std := cell["test_accuracy_std"]) is not None:
        spread = [mean - 100 * std, mean + 100 * std]
        axes.plot(spread, [y, y], color=style.colour, linewidth=4, alpha=0.45, solid_capstyle="butt")
    partial = {} if cell["status"] == DONE else {"markerfacecolor": "none"}
    axes.plot([mean], [y], color=style.colour, marker=style.marker, markersize=4, **partial)


def _draw_drop(axes: Axes, drop: dict | None, name: str, y: float, style) -> None:
    if drop is None:
        return
    if drop[name] is None:
        _note(axes, y, f"✕ {drop['status']}" if drop["drop"] is None else "undefined", style.colour)
        return
    face = {}
    if drop[f"{name}_low"] is not None:
        low, high = (100 * drop[f"{name}_{end}"] for end in ("low", "high"))
        axes.plot([low, high], [y, y], color=style.colour, linewidth=0.9, marker="|", markersize=4)
        face = {"markerfacecolor": "none"} if low <= 0 <= high else {}
    axes.plot([100 * drop[name]], [y], color=style.colour, marker=style.marker, markersize=4, **face)


def _note(axes: Axes, y: float, words: str, colour: str) -> None:
    """Write at the right edge of a row, whatever the axis' limits become."""
    place = axes.get_yaxis_transform()
    axes.text(1, y, words, color=colour, size=6.5, ha="right", va="center", style="italic", transform=place)


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


def _best_row_cells(summary: Summary) -> list[dict]:
    row = (summary.best["representation"], summary.best["probe"])
    cells = [summary.cell(row, layer_set) for layer_set in summary.layer_sets]
    return [cell for cell in cells if cell and cell["seeds"]]


def _layer_set_keys(styles: dict, marker: bool = True) -> list[Line2D]:
    return [
        Line2D([], [], color=style.colour, marker=style.marker if marker else "", markersize=4, label=name)
        for name, style in styles.items()
    ]


def _legend(figure: Figure, keys: list[Line2D]) -> None:
    figure.legend(handles=keys, loc="outside upper center", ncols=3, handlelength=1.8, columnspacing=1.2)
