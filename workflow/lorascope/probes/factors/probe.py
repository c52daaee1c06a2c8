"""What the probes that read factors share: each is a network, trained and asked in the same way."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lorascope.probes.probabilities import State
from lorascope.probes.runs import Part, Run


def probe_of(network: Callable[[], type]) -> tuple[Callable[..., Iterator[Run]], Callable[..., np.ndarray]]:
    """Return the ``run`` and the ``log_probabilities`` of a probe.

    Args:
        network: returns the dataclass of the network; it imports torch, which planning does without.
    """

    def run(
        parts: dict[str, Part],
        n_classes: int,
        settings: dict,
        seeds: Sequence[int],
        device: str,
        threads: int,
    ) -> Iterator[Run]:
        from lorascope.probes.factors.training import train_network

        yield from train_network(network(), parts, n_classes, settings, seeds, device, threads)

    def log_probabilities(state: State, columns: Sequence[str], features: np.ndarray) -> np.ndarray:
        from lorascope.probes.factors.training import answer

        return answer(network(), state, columns, features)

    return run, log_probabilities
