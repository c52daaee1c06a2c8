"""The probe `mlp_gated`: `mlp`, trained only on the adapters that a gate activates."""

from collections.abc import Iterator, Sequence

from lorascope.probes.classifiers import mlp
from lorascope.probes.runs import Part, Run


def run(
    parts: dict[str, Part], n_classes: int, settings: dict, seeds: Sequence[int], device: str, threads: int
) -> Iterator[Run]:
    """Train one run a seed; see :func:`lorascope.probes.gated.train_gated`."""
    from lorascope.probes.gated import GatedSettings, train_gated

    yield from train_gated(parts, n_classes, GatedSettings(**settings), seeds, device, threads)


log_probabilities = mlp.log_probabilities
