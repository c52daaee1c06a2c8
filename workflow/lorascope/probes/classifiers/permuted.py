"""The probe `permuted`, a control: `ridge` on permuted labels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lorascope.data.split import TRAIN, VALIDATION
from lorascope.probes.classifiers import ridge
from lorascope.probes.probabilities import linear_log_probabilities
from lorascope.probes.runs import Part, Run
from lorascope.probes.temperature import calibrated


def run(
    parts: dict[str, Part], n_classes: int, settings: dict, seeds: Sequence[int], device: str, threads: int
) -> Iterator[Run]:
    """Permute the labels once a seed, and fit and calibrate to them: nothing may see the truth."""
    for seed in seeds:
        permuted = permute_labels(parts, seed)
        for found in ridge.run(permuted, n_classes, settings, [seed]):
            yield calibrated(found, permuted)


def permute_labels(parts: dict[str, Part], seed: int) -> dict[str, Part]:
    """Permute the labels of the training and the validation part at random, each within its part."""
    rng = np.random.default_rng(seed)
    permuted = {name: rng.permutation(parts[name].classes) for name in (TRAIN, VALIDATION)}
    return {name: replace(part, classes=permuted.get(name, part.classes)) for name, part in parts.items()}


log_probabilities = linear_log_probabilities
