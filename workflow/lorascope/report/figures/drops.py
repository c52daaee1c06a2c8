"""The figure of what each layer set loses."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorascope.report.figures.base import Drawing, grey_key, lanes, layer_set_keys, legend, note, row_axes
from lorascope.report.style import INK, Series, series_of
from lorascope.report.summary import Summary

PANELS = {"drop": "drop (points)", "relative_drop": "relative drop (%)"}


def draw_drops(summary: Summary) -> Figure:
    """Absolute and relative drop of every representation with 95 % test-set intervals."""
    reference, rows = summary.results["reference"], summary.rows
    others = [name for name in summary.layer_sets if name != reference]
    styles = series_of(summary.layer_sets)
    figure, panels = row_axes(summary, panels=2, legend_rows=1)
    for axes, (name, label) in zip(panels, PANELS.items(), strict=True):
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(label)
        for layer_set, y in lanes(others, len(rows)):
            for row, position in zip(rows, y, strict=True):
                _draw_drop(axes, summary.drop(row, layer_set), name, position, styles[layer_set])
    keys = layer_set_keys({f"{reference} → {name}": styles[name] for name in others})
    hollow = grey_key("holds 0", marker="o", markerfacecolor="none", markersize=4)
    legend(figure, [*keys, hollow])
    return figure


def _draw_drop(axes: Axes, drop: dict | None, name: str, y: float, style: Series) -> None:
    if drop is None:
        return
    if drop[name] is None:
        note(axes, y, f"✕ {drop['status']}" if drop["drop"] is None else "undefined", style.colour)
        return
    face = {}
    if drop[f"{name}_low"] is not None:
        low, high = (100 * drop[f"{name}_{end}"] for end in ("low", "high"))
        axes.plot([low, high], [y, y], color=style.colour, linewidth=0.9, marker="|", markersize=4)
        face = {"markerfacecolor": "none"} if low <= 0 <= high else {}
    axes.plot([100 * drop[name]], [y], color=style.colour, marker=style.marker, markersize=4, **face)


def has_drops(summary: Summary) -> bool:
    """Whether at least one drop is known."""
    return any(drop["drop"] is not None for drop in summary.results["drops"])


DROPS = Drawing(
    "drops",
    "Drop by representation",
    "Both layer sets are scored on the same adapters; the lines are 95 % test-set intervals, "
    "hollow marks those that hold 0.",
    draw_drops,
    has_drops,
)
