"""The dashboard: six panels that show how every gate trained, mean over seeds."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lorascope.gates.registry import parse_gate
from lorascope.report.style import MUTED, SERIES, Series

INCHES = (7.2, 5.0)
# When the colours are used up they start again, dashed.
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1)))
KEYS_IN_A_ROW = 4
NO_RATE = ("dense", "infobatch")


def looks(gates: list[str]) -> dict[str, tuple[Series, object]]:
    """Give every gate its colour and its kind of line, in order."""
    return {
        gate: (SERIES[index % len(SERIES)], DASHES[index // len(SERIES) % len(DASHES)])
        for index, gate in enumerate(gates)
    }


def draw_dashboard(comparison: dict) -> Figure:
    """Draw training loss, validation accuracy, activation rate, energy saved, time, and samples.

    Args:
        comparison: of :func:`lorascope.sparse.compare.compare_runs`.
    """
    curves = comparison["curves"]
    styles = looks(list(curves))
    figure = Figure(figsize=INCHES, layout="constrained")
    panels = figure.subplots(2, 3)
    _draw_curves(panels[0, 0], curves, styles, "train_loss", "training loss (nats)")
    _draw_curves(panels[0, 1], curves, styles, "validation_accuracy", "validation accuracy (%)", 100)
    _draw_curves(panels[0, 2], curves, styles, "activation_rate", "activation rate (%; dotted: target)", 100)
    _draw_targets(panels[0, 2], comparison["facts"]["settings"]["target_activation_rate"], styles)
    _draw_curves(panels[1, 0], curves, styles, "energy_saved", "energy saved (%)", 100)
    _draw_bars(panels[1, 1], curves, styles)
    _draw_samples(panels[1, 2], curves, styles)
    keys = [
        Line2D([], [], color=style.colour, linestyle=dash, label=gate)
        for gate, (style, dash) in styles.items()
    ]
    figure.legend(handles=keys, loc="outside upper center", ncols=KEYS_IN_A_ROW, handlelength=2.2)
    return figure


def _draw_curves(axes: Axes, curves: dict, styles: dict, name: str, title: str, scale: float = 1) -> None:
    for gate, (style, dash) in styles.items():
        epochs, mean = np.array(curves[gate]["epoch"]), scale * np.array(curves[gate][name], dtype=float)
        axes.plot(epochs, mean, color=style.colour, linestyle=dash, linewidth=1)
        if f"{name}_std" in curves[gate]:
            std = scale * np.nan_to_num(np.array(curves[gate][f"{name}_std"], dtype=float))
            axes.fill_between(epochs, mean - std, mean + std, color=style.colour, alpha=0.15, linewidth=0)
    axes.set_title(title)
    axes.set_xlabel("epoch")


def _draw_targets(axes: Axes, target: float, styles: dict) -> None:
    targets = {gate: parse_gate(gate, target)[1] for gate in styles if gate.partition("@")[0] not in NO_RATE}
    for value in sorted(set(targets.values())):
        axes.axhline(100 * value, color=MUTED, linewidth=1, linestyle=":")


def _draw_bars(axes: Axes, curves: dict, styles: dict) -> None:
    """Seconds an epoch, mean over seeds and epochs; every bar is measured."""
    seconds = [np.mean(curves[gate]["seconds"]) for gate in styles]
    _bars(axes, seconds, styles)
    axes.set_title("time per epoch (s)")


def _draw_samples(axes: Axes, curves: dict, styles: dict) -> None:
    trained, skipped = (
        np.array([np.sum(curves[gate][f"samples_{what}"]) for gate in styles]) / 1000
        for what in ("trained", "skipped")
    )
    _bars(axes, trained, styles)
    axes.barh(range(len(trained)), skipped, left=trained, color=MUTED, alpha=0.25, height=0.7)
    axes.set_title("thousand samples (grey: skipped)")


def _bars(axes: Axes, values, styles: dict) -> None:
    axes.barh(range(len(styles)), values, color=[style.colour for style, _ in styles.values()], height=0.7)
    axes.set_yticks(range(len(styles)), list(styles), fontsize=6)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
