"""The architecture diagram: how a batch becomes a training step, with the sizes of the runs."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from lorascope.report.numbers import percent
from lorascope.report.style import INK, MUTED, SERIES

INCHES = (7.2, 2.75)
BOX, GAP, LEFT = 1.22, 0.26, 0.03
BOTTOM, TOP = 0.55, 2.3
ARROW = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}


def draw_diagram(comparison: dict) -> Figure:
    """Draw batch → significance → gate → active samples → training, and what the gate learns from it.

    Args:
        comparison: of :func:`lorascope.sparse.compare.compare_runs`.
    """
    figure = Figure(figsize=INCHES)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, INCHES[0]), ylim=(0, INCHES[1]))
    axes.set_axis_off()
    boxes = _boxes(comparison)
    for place, (title, lines) in enumerate(boxes):
        left = LEFT + place * (BOX + GAP)
        _draw_box(axes, left, title, lines, SERIES[place % len(SERIES)].colour)
        if place:
            _arrow(axes, left - GAP, left)
    _draw_feedback(axes, len(boxes))
    return figure


def _boxes(comparison: dict) -> list[tuple[str, list[str]]]:
    """Return title and lines of every box; each number is of a setting or measured."""
    facts, gates = comparison["facts"], comparison["gates"]
    settings, vit = facts["settings"], facts["settings"]["vit"]
    side, channels = facts["image_shape"][0], facts["image_shape"][-1]
    scored = {gate["gate"]: sum(comparison["curves"][gate["gate"]]["flops_scoring"]) > 0 for gate in gates}
    tokens = (side // vit["patch"]) ** 2
    passes = [f"{gate}: {'forward pass' if pays else 'free'}" for gate, pays in scored.items()]
    rates = [f"{gate['gate']}: {percent(gate['activation_rate_mean'])}" for gate in gates]
    counts = [f"{gate['gate']}: {settings['batch'] * gate['activation_rate_mean']:.1f}" for gate in gates]
    return [
        (
            "batch",
            [
                f"B = {settings['batch']} samples",
                f"{side} × {side} × {channels}",
                f"of {facts['training_samples']:,}",
                f"shift ≤ {settings['crop']} px",
                f"mirrored: {'yes' if settings['flip'] else 'no'}",
            ],
        ),
        ("significance [B]", passes),
        ("gate: activated", rates),
        ("mask [B] → [N], N ≈", counts),
        (
            "batched training",
            [
                f"ViT, {tokens} + 1 tokens",
                f"width {vit['width']}, depth {vit['depth']}",
                f"{vit['heads']} heads, MLP × {vit['mlp_ratio']:g}",
                f"{facts['parameters']:,} weights",
                f"{facts['classes']} classes",
                f"AdamW {settings['learning_rate']:g}",
                f"{settings['epochs']} epochs",
                f"{facts['precision']}, {facts['device']}"[:24],
            ],
        ),
    ]


def _draw_box(axes: Axes, left: float, title: str, lines: list[str], colour: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (left, BOTTOM),
            BOX,
            TOP - BOTTOM,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="none",
            edgecolor=colour,
            linewidth=1.2,
        )
    )
    axes.text(left + BOX / 2, TOP + 0.1, title, ha="center", va="bottom", size=7.5, color=INK, weight="bold")
    step = min(0.19, (TOP - BOTTOM - 0.1) / max(1, len(lines)))
    size = min(6.5, 36 * step)
    for place, line in enumerate(lines):
        axes.text(
            left + 0.07, TOP - 0.08 - (place + 0.5) * step, line, ha="left", va="center", size=size, color=INK
        )


def _arrow(axes: Axes, start: float, end: float) -> None:
    axes.annotate("", (end, (BOTTOM + TOP) / 2), (start, (BOTTOM + TOP) / 2), arrowprops=ARROW)


def _draw_feedback(axes: Axes, boxes: int) -> None:
    """From training back to the gate, below the boxes."""
    centre = [LEFT + place * (BOX + GAP) + BOX / 2 for place in range(boxes)]
    axes.plot([centre[-1], centre[-1], centre[2]], [BOTTOM, 0.3, 0.3], color=MUTED, linewidth=1.1)
    axes.annotate("", (centre[2], BOTTOM), (centre[2], 0.3), arrowprops=ARROW)
    words = "update: losses of the active samples, achieved rate"
    axes.text((centre[2] + centre[-1]) / 2, 0.22, words, ha="center", va="top", size=6.5, color=MUTED)
