"""The probe `gl_net`: equivariant layers on (B, A), then an invariant head."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.probes.probabilities import State
from lorascope.probes.runs import Part, Run

READS_FACTORS = True
# Signs of factors are free, so that a column has no mean; the network brings sizes to one scale itself.
STANDARDISED = False


def run(
    parts: dict[str, Part], n_classes: int, settings: dict, seeds: Sequence[int], device: str, threads: int
) -> Iterator[Run]:
    """Train one run a seed; see :func:`lorascope.probes.factors.training.train_network`."""
    from lorascope.probes.factors.gl_net import GLNet
    from lorascope.probes.factors.training import train_network

    yield from train_network(GLNet, parts, n_classes, settings, seeds, device, threads)


def log_probabilities(state: State, columns: Sequence[str], features: np.ndarray) -> np.ndarray:
    """Answer with a trained network; see :func:`lorascope.probes.factors.training.answer`."""
    from lorascope.probes.factors.gl_net import GLNet
    from lorascope.probes.factors.training import answer

    return answer(GLNet, state, columns, features)
