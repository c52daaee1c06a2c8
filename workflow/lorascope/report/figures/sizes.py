"""The figure of the learning curve over sizes of the training part, for one data set or several."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator

from lorascope.report.figures.base import Drawing, grey_key, legend
from lorascope.report.style import COLUMN_INCHES, MUTED, SERIES, Series
from lorascope.report.summary import Summary

DASHED = (0, (4, 2))


def draw_sizes(summary: Summary) -> Figure:
    """Test accuracy by number of training adapters, one panel a layer set."""
    return draw_curves(summary.sizes, "layer_set")


def draw_curves(records: list[dict], panel: str) -> Figure:
    """Draw the curves of the methods that are best on the most adapters, as many as can be told apart.

    Args:
        records: rows of the table ``sizes``.
        panel: the column with a panel for each of its values: ``layer_set`` or ``dataset``.
    """
    panels = list(dict.fromkeys(record[panel] for record in records))
    styles = dict(zip(_best_methods(records), SERIES, strict=False))
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    height = 0.5 + 1.9 * rows + 0.16 * -(-(len(styles) + 1) // 2)
    figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes, name in zip(grid, panels, strict=False):
        axes.set_title(name)
        _draw_panel(axes, [record for record in records if record[panel] == name], styles)
    _mark_sizes(grid[0], sorted({record["train_adapters"] for record in records}))
    figure.supxlabel("training adapters", fontsize=8)
    figure.supylabel("test accuracy (%)", fontsize=8)
    several = len({record["probe"] for record in records}) > 1
    keys = [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=4, label=_label(method, several))
        for method, style in styles.items()
    ]
    legend(figure, [*keys, grey_key("chance", linewidth=0.8, linestyle=DASHED)], columns=2)
    return figure


def _best_methods(records: list[dict]) -> list[tuple[str, str]]:
    """Return (representation, probe), the highest validation accuracy of any share first."""
    highest: dict[tuple[str, str], float] = {}
    for record in records:
        method = record["representation"], record["probe"]
        highest[method] = max(highest.get(method, 0.0), record["validation_accuracy_mean"])
    return sorted(highest, key=lambda method: -highest[method])


def _label(method: tuple[str, str], several_probes: bool) -> str:
    return " · ".join(method) if several_probes else method[0]


def _draw_panel(axes: Axes, records: list[dict], styles: dict[tuple[str, str], Series]) -> None:
    for method, style in styles.items():
        own = [record for record in records if (record["representation"], record["probe"]) == method]
        own.sort(key=lambda record: record["train_adapters"])
        for layer_set in dict.fromkeys(record["layer_set"] for record in own):
            _draw_curve(axes, [record for record in own if record["layer_set"] == layer_set], style)
    for chance in {record["chance"] for record in records}:
        axes.axhline(100 * chance, color=MUTED, linewidth=0.8, linestyle=DASHED, zorder=0)
    axes.set_xscale("log")
    axes.set_ylim(0, 102)


def _draw_curve(axes: Axes, records: list[dict], style: Series) -> None:
    sizes = [record["train_adapters"] for record in records]
    mean, low, high = (
        100 * np.array([record[f"test_accuracy_{name}"] for record in records])
        for name in ("mean", "adapters_low", "adapters_high")
    )
    axes.vlines(sizes, low, high, color=style.colour, linewidth=0.7, alpha=0.6)
    axes.plot(sizes, mean, color=style.colour, marker=style.marker, markersize=3.5)


def _mark_sizes(axes: Axes, sizes: list[int]) -> None:
    """Label sizes, but not those that stand closer to the one before than a label is wide."""
    marked = sizes[:1]
    for size in sizes[1:]:
        if size > 1.6 * marked[-1]:
            marked.append(size)
    axes.set_xticks(marked, [f"{size:,}" for size in marked])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


# By name: drawings go to other processes, and a lambda cannot.
def _has_sizes(summary: Summary) -> bool:
    return bool(summary.sizes)


SIZES = Drawing(
    "sizes",
    "Accuracy by size of the training part",
    "Test accuracy of the methods that validation puts first, with 95 % test-set interval, against the "
    "number of training adapters (logarithmic). For one seed the shares are nested; the mean is over seeds.",
    draw_sizes,
    has_data=_has_sizes,
)
