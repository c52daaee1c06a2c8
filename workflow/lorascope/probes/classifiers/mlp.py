"""The probe `mlp`: three hidden layers with batch norm and dropout."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.probes.probabilities import State, log_softmax
from lorascope.probes.runs import Part, Run


def run(
    parts: dict[str, Part], n_classes: int, settings: dict, seeds: Sequence[int], device: str, threads: int
) -> Iterator[Run]:
    """Train one run a seed; see :func:`lorascope.probes.mlp.train_mlp`."""
    from lorascope.probes.mlp import MLPSettings, train_mlp

    yield from train_mlp(parts, n_classes, MLPSettings(**settings), seeds, device, threads)


def log_probabilities(state: State, columns: Sequence[str], features: np.ndarray) -> np.ndarray:
    """Answer with norms folded into ``weight.<i>`` [in, out] and ``shift.<i>`` [1, out]."""
    layers = [(state[f"weight.{i}"], state[f"shift.{i}"]) for i in range(len(state) // 2)]
    for weight, shift in layers[:-1]:
        features = np.maximum(features @ weight + shift, 0)
    weight, shift = layers[-1]
    return log_softmax((features @ weight + shift).astype(np.float64))
