"""The map of adapters: a point an adapter, coloured by class."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from lorascope.report.figures.base import Drawing, grey_key, legend
from lorascope.report.style import COLUMN_INCHES, INK, SERIES
from lorascope.report.summary import Summary

MARKERS = "osD^vP<>X*"
LEARNT, OTHERS = {"s": 7, "alpha": 0.35, "linewidth": 0}, {"s": 20, "alpha": 0.95, "linewidth": 0.4}


def has_map(summary: Summary) -> bool:
    """Whether there is a map."""
    return bool(summary.results["adapter_map"])


def draw_map(summary: Summary) -> Figure:
    """Adapters by the two leading kernel principal components; each class is named at its median."""
    table, classes = summary.results["adapter_map"], summary.results["classes"]
    figure = Figure(figsize=(COLUMN_INCHES, COLUMN_INCHES + 0.2), layout="constrained")
    axes = figure.subplots()
    places = np.array([(row["x"], row["y"]) for row in table])
    owner = np.array([classes.index(row["class"]) for row in table])
    tested = np.array([row["part"] == "test" for row in table])
    for index, name in enumerate(classes):
        colour, marker = class_look(index)
        for rows, looks in ((~tested, LEARNT), (tested, OTHERS)):
            shown = rows & (owner == index)
            axes.scatter(*places[shown].T, color=colour, marker=marker, edgecolor="white", **looks)
        if (owner == index).any():
            middle = np.median(places[owner == index], axis=0)
            halo = [withStroke(linewidth=2, foreground="white")]
            axes.text(*middle, name, size=7, color=INK, ha="center", va="center", path_effects=halo)
    axes.set_xlabel(f"first component ({100 * table[0]['x_variance']:.1f} % of the variance)")
    axes.set_ylabel(f"second component ({100 * table[0]['y_variance']:.1f} %)")
    axes.tick_params(labelbottom=False, labelleft=False, length=0)
    point = {"marker": "o", "linestyle": ""}
    legend(
        figure,
        [
            grey_key("training and validation", markersize=3, alpha=0.5, **point),
            grey_key("test", markersize=5, **point),
        ],
    )
    return figure


def class_look(index: int) -> tuple:
    """Return colour and marker of a class; together they differ for up to 60 classes."""
    if index < len(SERIES):
        return SERIES[index].colour, SERIES[index].marker
    # Its colours come in fours, from dark to light: the lighter ones come last.
    return colormaps["tab20b"]((4 * index + index // 5) % 20), MARKERS[index % len(MARKERS)]


ADAPTER_MAP = Drawing(
    "adapter_map",
    "Map of the adapters",
    "Kernel principal components of the updates ΔW, every layer counting the same; components are those of "
    "the training part, the others are only placed. A class's name stands at its median. Two components hold "
    "only the share of the variance that the axes say: classes that overlap here may well be told apart.",
    draw_map,
    has_map,
    themed=False,
)
