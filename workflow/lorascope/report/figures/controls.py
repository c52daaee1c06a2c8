"""Figures of what scores as well: controls beside the best cell, and random sets of layers."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorascope.report.control_rows import NO_LAYERS, control_rows
from lorascope.report.figures.base import Drawing, grey_key, lanes, layer_set_keys, legend, row_axes
from lorascope.report.style import COLUMN_INCHES, MUTED, Series, series_of
from lorascope.report.summary import Summary

GREY = Series(MUTED, "o")


def has_controls(summary: Summary) -> bool:
    """Whether there is a control with an accuracy, and a cell to hold it against."""
    return bool(summary.found and control_rows(summary))


def has_random_layers(summary: Summary) -> bool:
    """Whether random sets of layers were drawn."""
    return bool(summary.found and summary.results["random_layers"])


def draw_controls(summary: Summary) -> Figure:
    """The best cell and every control, one row each, one lane a layer set."""
    records, styles = control_rows(summary), {**series_of(summary.layer_sets), NO_LAYERS: GREY}
    names = list(dict.fromkeys(record["row"] for record in records))
    figure = Figure(figsize=(COLUMN_INCHES, 0.9 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.axvline(records[0]["chance"], color=MUTED, linewidth=0.8, linestyle="--")
    for name in names:
        own = [record for record in records if record["row"] == name]
        spread = (np.arange(len(own)) - (len(own) - 1) / 2) * 0.25
        for record, offset in zip(own, spread, strict=True):
            _draw_control(axes, record, names.index(name) + offset, styles[record["of"]])
    axes.set_xlim(left=0)
    axes.set_xlabel("test accuracy (%)")
    shown = {record["of"] for record in records}
    keys = layer_set_keys({name: style for name, style in styles.items() if name in shown})
    legend(figure, [*keys, grey_key("chance", linestyle="--", linewidth=0.8)])
    return figure


def _draw_control(axes: Axes, record: dict, y: float, style: Series) -> None:
    ends = [record["low"], record["high"]]
    axes.plot(ends, [y, y], color=style.colour, linewidth=0.9, marker="|", markersize=4)
    axes.plot([record["value"]], [y], color=style.colour, marker=style.marker, markersize=4)


def draw_random_layers(summary: Summary) -> Figure:
    """Ridge on every layer set beside ridge on random sets of as many layers, and on the reference."""
    records = summary.results["random_layers"]
    styles = series_of(summary.layer_sets)
    others = list(dict.fromkeys(record["layer_set"] for record in records))
    figure, (axes,) = row_axes(summary, panels=1, legend_rows=2)
    place = {row[0]: index for index, row in reversed(list(enumerate(summary.rows)))}
    for layer_set, y in lanes(others, len(summary.rows)):
        for record in records:
            if record["layer_set"] == layer_set and record["representation"] in place:
                _draw_random(axes, record, y[place[record["representation"]]], styles)
    axes.set_xlim(left=0)
    axes.set_xlabel("test accuracy of ridge (%)")
    shown = {name: styles[name] for name in (summary.results["reference"], *others)}
    random = grey_key("random layers", linewidth=4, alpha=0.35)
    legend(figure, [*layer_set_keys(shown, line=False), random])
    return figure


def _draw_random(axes: Axes, record: dict, y: float, styles: dict[str, Series]) -> None:
    band = [100 * record["random_low"], 100 * record["random_high"]]
    axes.plot(band, [y, y], color=MUTED, linewidth=4, alpha=0.35, solid_capstyle="butt")
    axes.plot([100 * record["random_accuracy"]], [y], color=MUTED, marker="|", markersize=6)
    for name, value in ((record["reference"], "reference_accuracy"), (record["layer_set"], "accuracy")):
        style = styles[name]
        axes.plot([100 * record[value]], [y], color=style.colour, marker=style.marker, markersize=4)


CONTROLS = Drawing(
    "controls",
    "Controls beside the best cell",
    "Mean test accuracy on the same adapters; the line is what the size of the test set leaves open (95 % "
    "interval), the dashed line chance. Permuted labels are those of the best cell's representation.",
    draw_controls,
    has_controls,
)
RANDOM_LAYERS = Drawing(
    "random_layers",
    "Layer sets against random layers",
    "Ridge on each layer set; the grey band spans the random sets of as many layers, the tick is their mean.",
    draw_random_layers,
    has_random_layers,
)
