"""Figures of where in the network the label sits: a heat map on the drawn UNet, the best layers' worth."""

import re
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from lorascope.report.figures.base import Drawing, grey_key, legend
from lorascope.report.style import COLUMN_INCHES, GRID, INK, MUTED, SERIES
from lorascope.report.summary import Summary

MAP = "Blues"
# Above this accuracy (in per cent) the cell is so dark that its number must be white.
DARK = 55
# Inches: a cell of the heat map, the room between boxes, and the row of names above and beside the cells.
CELL, GAP, NAMES = 0.34, 0.26, 0.17
SIDE_NAMES = 0.36
DASHED = (0, (4, 3))


def has_layers(summary: Summary) -> bool:
    """Whether the layers were ranked."""
    return bool(summary.results["layer_groups"])


@dataclass(frozen=True)
class Unet:
    """Blocks as they are drawn: down on the left, up on the right, each with its partner in one row.

    Attributes:
        rows: (block on the left, on the right), from the highest resolution down; None where one is absent.
        bottom: blocks below both, the middle one.
    """

    rows: tuple[tuple[str | None, str | None], ...]
    bottom: tuple[str, ...]


def unet_of(blocks: list[str]) -> Unet:
    """Arrange blocks: an up block stands beside the down block whose output it is given."""
    down = sorted((name for name in blocks if name.startswith("down")), key=_number)
    up = sorted((name for name in blocks if name.startswith("up")), key=_number, reverse=True)
    bottom = tuple(name for name in blocks if not name.startswith(("down", "up")))
    rows = max(len(down), len(up))
    left, right = (names + [None] * (rows - len(names)) for names in (down, up))
    return Unet(tuple(zip(left, right, strict=True)), bottom)


def _number(block: str) -> int:
    return int(re.sub(r"\D", "", block) or 0)


def draw_layers(summary: Summary) -> Figure:
    """Accuracy of each block × attention × projection alone, in its place in the UNet."""
    groups = summary.results["layer_groups"]
    unet = unet_of(_unique(group["block"] for group in groups))
    attentions = sorted(_unique(group["attention"] for group in groups))
    projections = _unique(group["projection"] for group in groups)
    width = SIDE_NAMES + CELL * len(projections)
    height = NAMES + CELL * len(attentions)
    levels = len(unet.rows) + bool(unet.bottom)
    figure_width = max(COLUMN_INCHES, 2 * width + GAP + 0.2)
    figure_height = levels * (height + GAP) + 0.55
    figure = Figure(figsize=(figure_width, figure_height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, figure_width), ylim=(figure_height, 0))
    axes.axis("off")
    right = figure_width - 0.1 - width
    draw = _Boxes(axes, groups, attentions, projections, width, height)
    for level, pair in enumerate(unet.rows):
        top = GAP + level * (height + GAP)
        for block, x in zip(pair, (0.1, right), strict=True):
            if block is not None:
                draw.box(block, x, top)
        if None not in pair:
            _skip(axes, 0.1 + width, right, top + height / 2)
        if level:
            _flow(axes, (0.1 + 0.92 * width, top - GAP + 0.04), (0.1 + 0.92 * width, top - 0.05))
            _flow(axes, (right + 0.92 * width, top - 0.05), (right + 0.92 * width, top - GAP + 0.04))
    for place, block in enumerate(unet.bottom):
        x = (figure_width - len(unet.bottom) * (width + GAP) + GAP) / 2 + place * (width + GAP)
        top = GAP + len(unet.rows) * (height + GAP)
        draw.box(block, x, top)
        if block.startswith("mid") and unet.rows:
            _flow(axes, (0.1 + width / 2, top - GAP + 0.04), (x - 0.04, top + height / 2), bend=0.3)
            _flow(axes, (x + width + 0.04, top + height / 2), (right + width / 2, top - GAP + 0.04), bend=0.3)
    _scale(figure, figure_width, figure_height)
    return figure


@dataclass(frozen=True)
class _Boxes:
    """Draws the blocks, all of one size."""

    axes: Axes
    groups: list[dict]
    attentions: list[str]
    projections: list[str]
    width: float
    height: float

    def box(self, block: str, x: float, y: float) -> None:
        frame = FancyBboxPatch(
            (x, y), self.width, self.height, boxstyle="round,pad=0.04", facecolor="none", edgecolor=MUTED
        )
        frame.set_linewidth(0.8)
        self.axes.add_patch(frame)
        self.axes.text(x, y - 0.07, block, size=7, color=INK, va="bottom", weight="bold")
        for column, projection in enumerate(self.projections):
            place = x + SIDE_NAMES + (column + 0.5) * CELL
            self.axes.text(place, y + NAMES / 2, projection, size=5.5, color=MUTED, ha="center", va="center")
        for row, attention in enumerate(self.attentions):
            place = y + NAMES + (row + 0.5) * CELL
            self.axes.text(x, place, attention, size=6, color=MUTED, va="center")
        for group in (group for group in self.groups if group["block"] == block):
            self._cell(group, x, y)

    def _cell(self, group: dict, x: float, y: float) -> None:
        left = x + SIDE_NAMES + self.projections.index(group["projection"]) * CELL
        top = y + NAMES + self.attentions.index(group["attention"]) * CELL
        share = 100 * group["accuracy"]
        colour = colormaps[MAP](share / 100)
        self.axes.add_patch(
            Rectangle((left, top), CELL, CELL, facecolor=colour, edgecolor="white", linewidth=0.6)
        )
        ink = "white" if share > DARK else INK
        middle = left + CELL / 2, top + CELL / 2
        self.axes.text(*middle, f"{share:.0f}", size=7, color=ink, ha="center", va="center")


def _skip(axes: Axes, left: float, right: float, y: float) -> None:
    """An arrow from a down block to the up block that is given its output."""
    looks = {"arrowstyle": "->", "color": MUTED, "linewidth": 0.7, "linestyle": DASHED}
    axes.annotate("", (right - 0.06, y), (left + 0.06, y), arrowprops=looks)


def _flow(axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0) -> None:
    """An arrow along the way that the image takes."""
    looks = {"arrowstyle": "->", "color": MUTED, "linewidth": 0.9, "connectionstyle": f"arc3,rad={bend}"}
    axes.annotate("", end, start, arrowprops=looks | {"shrinkA": 0, "shrinkB": 0})


def _scale(figure: Figure, width: float, height: float) -> None:
    place = figure.add_axes((0.2, 0.3 / height, 0.6, 0.07 / height))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 100), MAP), place, orientation="horizontal")
    bar.set_label("accuracy of a group of layers alone (%)", size=7, labelpad=1)
    bar.outline.set_visible(False)
    place.tick_params(length=2, labelsize=6)


def draw_ablation(summary: Summary) -> Figure:
    """Test accuracy against the number of layers that are kept, or removed: the best, and random ones."""
    table = summary.results["layer_ablations"]
    every = next(row for row in table if row["question"] == "all")
    asked = [name for name in ("keep", "remove") if any(row["question"] == name for row in table)]
    figure = Figure(figsize=(COLUMN_INCHES, 2.3), layout="constrained")
    panels = figure.subplots(1, max(1, len(asked)), sharey=True, squeeze=False)[0]
    for axes, question in zip(panels, asked, strict=False):
        counts = sorted({row["k"] for row in table if row["question"] == question})
        axes.axhline(100 * every["test_accuracy"], color=MUTED, linewidth=0.8, linestyle=DASHED)
        axes.axhline(100 * summary.results["chance"], color=GRID, linewidth=1)
        for choice, series, shift in (("best", SERIES[0], -0.05), ("random", SERIES[1], 0.05)):
            rows = [row for row in table if (row["question"], row["choice"]) == (question, choice)]
            places = np.arange(len(rows)) + shift
            low, middle, high = (
                100 * np.array([row[f"test_accuracy{end}"] for row in rows]) for end in ("_low", "", "_high")
            )
            axes.vlines(places, low, high, color=series.colour, linewidth=0.9)
            axes.plot(places, middle, color=series.colour, marker=series.marker, markersize=4)
        axes.set_xticks(range(len(counts)), counts)
        axes.set(xlabel=f"layers {'kept alone' if question == 'keep' else 'removed'}", ylim=(0, 104))
    panels[0].set_ylabel("test accuracy (%)")
    keys = [
        grey_key(label, color=series.colour, marker=series.marker, markersize=4)
        for label, series in (("the best", SERIES[0]), ("random", SERIES[1]))
    ]
    keys += [grey_key("all layers", linewidth=0.8, linestyle=DASHED), grey_key("chance", color=GRID)]
    legend(figure, keys, columns=4)
    return figure


def _unique(values) -> list:
    return list(dict.fromkeys(values))


LAYERS = Drawing(
    "layers",
    "Where in the network the label sits",
    "What a closed-form probe names from one block × attention × projection alone, in per cent of left-out "
    "adapters of training and validation part. Dashed arrows are the UNet's skip connections.",
    draw_layers,
    has_layers,
    themed=False,
)
ABLATION = Drawing(
    "ablation",
    "The best layers kept alone, and removed",
    "Test accuracy of a closed-form probe that is trained again on the k best layers alone, and on all but "
    "these, with 95 % test-set interval; beside it the mean over random choices of as many layers. The "
    "ranking comes from training and validation part.",
    draw_ablation,
    has_layers,
)
