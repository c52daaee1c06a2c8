"""What all figures share: how one is named and saved, axes with a row per representation, keys."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lorascope.files import write_bytes
from lorascope.processes import process_pool
from lorascope.report.style import COLUMN_INCHES, GRID, MUTED, RC, Series
from lorascope.report.summary import Summary

FORMATS = ("svg", "pdf", "png")
# Dates and version strings would change the bytes without changing the picture.
NO_METADATA = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
SANITY_NOTE = "sanity check only: tested on the training adapters"


def has_results(summary: Summary) -> bool:
    """Whether at least one run is there."""
    return bool(summary.found)


@dataclass(frozen=True)
class Drawing:
    """A named figure and the caption that belongs to it.

    Attributes:
        draw: makes the figure.
        has_data: whether the summary holds what it needs.
        themed: its colours are those of the page's theme; a heat map's are its own.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Summary], Figure]
    has_data: Callable[[Summary], bool] = has_results
    themed: bool = True


def save_drawings(
    drawings: list[Drawing], summary: Summary, folder: str | Path, processes: int = 1
) -> dict[str, str]:
    """Draw figures into ``folder`` in every format; return name → SVG text.

    The bytes do not depend on the number of processes: every figure is made on its own.
    """
    save = partial(_save, summary=summary, folder=Path(folder))
    if processes == 1 or len(drawings) < 2:
        texts = list(map(save, drawings))
    else:
        with process_pool(min(processes, len(drawings)), str(folder)) as pool:
            texts = list(pool.map(save, drawings))
    return dict(zip((drawing.name for drawing in drawings), texts, strict=True))


def _save(drawing: Drawing, summary: Summary, folder: Path) -> str:
    with mpl.rc_context(RC):
        figure = drawing.draw(summary)
        if summary.results["sanity"]:
            _mark_sanity(figure)
        return save_figure(figure, folder, drawing.name)


def save_figure(figure: Figure, folder: Path, name: str) -> str:
    """Write a figure, made under the house style, in every format; return the text of the SVG file."""
    # Laying out is the slow part: once, not once a format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    saved = {extension: _rendered(figure, extension) for extension in FORMATS}
    for extension, content in saved.items():
        write_bytes(folder / f"{name}.{extension}", content)
    return saved["svg"].decode()


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


def row_axes(
    summary: Summary, panels: int, legend_rows: int, lane: float = 0.11
) -> tuple[Figure, np.ndarray]:
    """Axes with one horizontal row per representation, the best on top; ``lane`` inches a layer set."""
    rows = summary.rows
    lanes = max(1, len(summary.layer_sets))
    height = 0.75 + 0.14 * legend_rows + len(rows) * (0.1 + lane * lanes)
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


def lanes(layer_sets: list[str], rows: int) -> list[tuple[str, np.ndarray]]:
    """Spread the layer sets over the height of each row."""
    offsets = (np.arange(len(layer_sets)) - (len(layer_sets) - 1) / 2) * 0.7 / max(1, len(layer_sets))
    return [(name, np.arange(rows) + offset) for name, offset in zip(layer_sets, offsets, strict=True)]


def note(axes: Axes, y: float, words: str, colour: str) -> None:
    """Write at the right edge of a row, whatever the axis' limits become."""
    place = axes.get_yaxis_transform()
    axes.text(1, y, words, color=colour, size=6.5, ha="right", va="center", style="italic", transform=place)


def mark_failure(axes: Axes, y: float, cell: dict, style: Series) -> None:
    """Say in a row that a cell has no results."""
    note(axes, y, f"✕ {cell['layer_set']}: {cell['status']}", style.colour)


def layer_set_keys(styles: dict[str, Series], marker: bool = True, line: bool = True) -> list[Line2D]:
    """Keys of the layer sets for a legend."""
    return [
        Line2D(
            [],
            [],
            color=style.colour,
            marker=style.marker if marker else "",
            linestyle="solid" if line else "",
            markersize=4,
            label=name,
        )
        for name, style in styles.items()
    ]


def grey_key(label: str, **looks) -> Line2D:
    """A key of what does not depend on the layer set."""
    return Line2D([], [], **({"color": MUTED} | looks), label=label)


def legend(figure: Figure, keys: list[Line2D], columns: int = 3) -> None:
    """Put the keys above the axes."""
    figure.legend(
        handles=keys, loc="outside upper center", ncols=columns, handlelength=1.8, columnspacing=1.2
    )
