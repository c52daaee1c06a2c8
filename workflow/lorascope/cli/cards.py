"""What the commands on adapter files print: one card a file, with a bar for every block."""

import math
from collections.abc import Mapping

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lorascope.adapters.delta import Difference
from lorascope.adapters.inspection import Inspection

BAR_CELLS = 30
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def print_inspection(inspection: Inspection, console: Console | None = None) -> None:
    """Print what one adapter file holds."""
    console = console or Console(highlight=False, soft_wrap=True)
    console.print(Text(inspection.path, style="bold"))
    facts = _grid()
    facts.add_row("family", inspection.family)
    facts.add_row("base model", escape(inspection.base_model or "unknown"))
    facts.add_row("rank", _counted({str(rank): count for rank, count in inspection.ranks.items()}))
    alphas = {f"{alpha:g} ({source})": count for (alpha, source), count in inspection.alphas.items()}
    facts.add_row("alpha", _counted(alphas))
    facts.add_row("layers", str(len(inspection.layers)))
    facts.add_row("work on", ", ".join(f"{stream} × {n}" for stream, n in inspection.streams.items()))
    for name, value in inspection.training.items():
        facts.add_row(name, escape(value))
    console.print(Group(facts, Text("‖ΔW‖ per block", style="bold"), _bars(inspection.blocks)))
    for note in inspection.notes:
        console.print(Text(f"note: {note}"))
    for anomaly in inspection.anomalies:
        console.print(Text(f"anomaly: {anomaly}", style="red"))


def print_difference(difference: Difference, console: Console | None = None) -> None:
    """Print how two adapters differ, one line a layer."""
    console = console or Console(highlight=False, soft_wrap=True)
    table = _grid()
    table.add_row("layer", "cosine", "norm ratio")
    for layer in difference.layers:
        table.add_row(layer.layer, _number(layer.cosine), _number(layer.norm_ratio))
    table.add_row("all together", _number(difference.cosine), _number(difference.norm_ratio))
    console.print(table)
    for what, layers in (
        ("only in the first", difference.only_first),
        ("only in the second", difference.only_second),
        ("of another shape", difference.other_shape),
    ):
        if layers:
            console.print(Text(f"{what}: {len(layers)} layers: {', '.join(layers[:3])}"))


def _grid() -> Table:
    return Table.grid(padding=(0, 2))


def _counted(counts: Mapping[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} × {count}" for value, count in counts.items())


def _bars(blocks: Mapping[str, float]) -> Table:
    largest = max((value for value in blocks.values() if math.isfinite(value)), default=0.0)
    table = _grid()
    for block, value in blocks.items():
        table.add_row(block, bar_of(value / largest if largest else 0.0), _number(value))
    return table


def bar_of(share: float) -> str:
    """Return a bar of at most ``BAR_CELLS`` characters for a share of 1."""
    if not math.isfinite(share):
        return "NaN"
    eighths = round(share * BAR_CELLS * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.4g}"
