"""Where the adapters of a data set started: each from its own random A, all from one, or several from each.

Training moves A little, or the same way in every adapter, so that two adapters that started from one A still
have nearly parallel rows in most layers. Independent random rows of
length n have a mean |cos| of √(2 / πn).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from lorascope.data.weights import GroupWeights
from lorascope.features.columns import ratio
from lorascope.features.layer_weights import layers_of

FRESH, SHARED, MIXED = "fresh", "shared", "mixed"
# Pairs grow with the square: these make 32,640.
SAMPLE = 256
SEED = 0
# Half of the way from random to parallel: independent rows are never there in half of many layers. Of a few
# layers, more is asked.
ALIKE, ALIKE_IN_ONE = 0.5, 0.9
# A layer in which training pulled the A's of different adapters together, on the same scale.
PULLED = 0.25
# Copies and reruns of a few adapters do not make a regime.
FEW = 0.05


@dataclass(frozen=True)
class Starts:
    """How alike the down matrices of different adapters are.

    Attributes:
        regime: ``fresh``, ``shared`` or ``mixed``.
        cosine: mean |cos| between rows of A of two adapters, over layers and pairs.
        random: the same for independent random rows; shared rows have 1.
        layers: layer → [mean |cos|, its expectation for random rows].
        pulled: number of layers in which A's are alike; where adapters started apart, training did that.
        adapters: how many were compared.
        starts: number of starts among them.
        largest: share of them that has the commonest start.
    """

    regime: str
    cosine: float
    random: float
    layers: dict[str, list[float]]
    pulled: int
    adapters: int
    starts: int
    largest: float


def find_starts(groups: list[GroupWeights]) -> Starts:
    """Compare A between all pairs of a random sample of adapters."""
    n_adapters = groups[0].n_adapters
    size = min(SAMPLE, n_adapters)
    rows = np.sort(np.random.default_rng(SEED).choice(n_adapters, size, replace=False))
    pairs = np.triu_indices(size, 1)
    layers, cosines = {}, []
    for weights in groups:
        for layer in layers_of(weights):
            found, random = (
                _cosines(weights.read(layer.down, 0, n_adapters)[rows])[pairs],
                _random_cosine(layer.d_in),
            )
            layers[layer.name] = [float(found.mean()), random]
            cosines.append(_from_random(found, random).astype(np.float32))
    threshold = ALIKE + (ALIKE_IN_ONE - ALIKE) / len(cosines)
    sizes = _start_sizes(np.median(cosines, axis=0) > threshold, pairs, size)
    observed, random = np.array(list(layers.values())).T
    return Starts(
        regime=_regime(sizes),
        cosine=float(observed.mean()),
        random=float(random.mean()),
        layers=layers,
        pulled=int((_from_random(observed, random) > PULLED).sum()),
        adapters=size,
        starts=len(sizes),
        largest=float(sizes.max() / size),
    )


def _random_cosine(length: int) -> float:
    return min(1.0, float(np.sqrt(2 / (np.pi * length)))) if length > 1 else 1.0


def _from_random(cosines: np.ndarray, random: np.ndarray | float) -> np.ndarray:
    """Return how far on the way from random to parallel cosines are; 0 where rows have length 1."""
    return ratio(cosines - random, 1 - np.asarray(random))


def _cosines(down: np.ndarray) -> np.ndarray:
    """Return [adapters, adapters] |cos| between rows of the same number, averaged over the rows."""
    down = np.nan_to_num(down.astype(np.float64))
    norms = np.linalg.norm(down, axis=2, keepdims=True)
    units = np.divide(down, norms, out=np.zeros_like(down), where=norms > 0).swapaxes(0, 1)
    return np.abs(units @ units.swapaxes(1, 2)).mean(axis=0)


def _start_sizes(alike: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], size: int) -> np.ndarray:
    """Return how many adapters each start has."""
    graph = np.zeros((size, size), bool)
    graph[pairs] = alike
    _, start_of = connected_components(graph, directed=False)
    return np.bincount(start_of)


def _regime(sizes: np.ndarray) -> str:
    total = sizes.sum()
    if sizes.max() >= (1 - FEW) * total and total > 1:
        return SHARED
    return FRESH if sizes[sizes > 1].sum() <= FEW * total else MIXED
