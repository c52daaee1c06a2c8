"""The probe `majority`, a control: the shares of the classes in the training part for every adapter."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.data.split import TRAIN
from lorascope.probes.candidates import Candidate, chosen_by_validation
from lorascope.probes.probabilities import State, floored_log
from lorascope.probes.runs import Part, Run

SEEDLESS = True


def candidates(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """The only one there is."""
    shares = np.bincount(parts[TRAIN].classes) / len(parts[TRAIN].classes)
    state = {"shares": shares}
    scores = {name: log_probabilities(state, part.columns, part.features) for name, part in parts.items()}
    yield Candidate({}, scores, state)


def run(
    parts: dict[str, Part], n_classes: int, settings: dict, seeds: Sequence[int], device: str, threads: int
) -> Iterator[Run]:
    """Count the classes; shares are probabilities already, and no temperature is fitted to them."""
    for found in chosen_by_validation(candidates)(parts, n_classes, settings, seeds):
        found.temperature = 1.0
        yield found


def log_probabilities(state: State, columns: Sequence[str], features: np.ndarray) -> np.ndarray:
    """Return the same ``shares`` [classes] for every adapter."""
    return np.tile(floored_log(state["shares"]), (len(features), 1))
