"""One look for all figures: sizes for a paper's column, colours that every eye can tell apart."""

from dataclasses import dataclass

COLUMN_INCHES = 3.5

INK = "#1c2530"
MUTED = "#5b6776"
GRID = "#d9dee4"


@dataclass(frozen=True)
class Series:
    """How a layer set is drawn everywhere; shape and colour both tell it."""

    colour: str
    marker: str


# Okabe & Ito (2008), in the order in which neighbours differ most.
SERIES = (
    Series("#0072b2", "o"),
    Series("#d55e00", "s"),
    Series("#009e73", "^"),
    Series("#cc79a7", "D"),
    Series("#8f6f00", "v"),
    Series("#3d7f9e", "P"),
)

RC = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 8,
    "figure.dpi": 72,
    # The font that comes with matplotlib: the same bytes on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "lorascope",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelsize": 7,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 7,
}


def series_of(layer_sets: list[str]) -> dict[str, Series]:
    """Give every layer set its colour and marker, in order."""
    return {name: SERIES[index % len(SERIES)] for index, name in enumerate(layer_sets)}
