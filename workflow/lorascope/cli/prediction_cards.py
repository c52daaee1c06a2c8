"""What `predict` and `similar` print."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lorascope.cli.cards import bar_of
from lorascope.features.file_weights import FittedFile
from lorascope.report.numbers import percent
from lorascope.study.finished import FinishedCell, FinishedStudy
from lorascope.study.predict import COVERAGE, Calibration, Card
from lorascope.study.similar import Neighbour
from lorascope.wording import plural

SHOWN = 5
SANITY_WARNING = "a study of so few adapters says that the machinery runs, and nothing about this file"


def print_prediction(card: Card, cell: FinishedCell, study: FinishedStudy, calibration: Calibration) -> None:
    """Print a card: the class, what else it may be, the layers that decided, and what speaks against it."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(card.path, style="bold"))
    console.print(f"{card.predicted} ({card.probabilities[card.predicted]:.1%})", markup=False)
    classes = Table.grid(padding=(0, 2))
    for name, probability in list(card.probabilities.items())[:SHOWN]:
        classes.add_row(Text(name), bar_of(probability), f"{probability:.1%}")
    console.print(classes)
    console.print(_set_words(card, calibration), markup=False)
    layers = Table.grid(padding=(0, 2))
    for effect in card.layers[:SHOWN]:
        layers.add_row(Text(effect.layer), f"{round(effect.loss, 2) + 0.0:+.2f}")
    console.print("layers that decided (log-odds that go without the layer)")
    console.print(layers)
    where = f"{cell.representation}, {cell.layer_set} layers, {cell.probe}, {plural(len(cell.seeds), 'seed')}"
    console.print(f"from {study.folder}: {where}; test accuracy {percent(cell.test_accuracy)}", markup=False)
    for warning in [*card.warnings, *([SANITY_WARNING] if study.results["sanity"] else [])]:
        console.print(Text(f"warning: {warning}", style="red"))


def _set_words(card: Card, calibration: Calibration) -> str:
    rests_on = plural(calibration.n, f"test {calibration.unit}")
    if card.conformal_set is None:
        return f"at {COVERAGE:.0%} coverage: not measurable ({rests_on})"
    some = len(card.conformal_set) < len(card.probabilities)
    which = ", ".join(card.conformal_set) if some else f"any of the {len(card.probabilities)} classes"
    return f"at {COVERAGE:.0%} coverage, by {rests_on}: {which}"


def print_neighbours(file: FittedFile, neighbours: Sequence[Neighbour]) -> None:
    """Print the nearest adapters, one line each."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_row("cosine", "adapter", "label", "part")
    for neighbour in neighbours:
        words = (neighbour.adapter, neighbour.label, neighbour.split)
        table.add_row(f"{neighbour.cosine:.4f}", *map(Text, words))
    console.print(table)
    for warning in file.warnings:
        console.print(Text(f"warning: {warning}", style="red"))
