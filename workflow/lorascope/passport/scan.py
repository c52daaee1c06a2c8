"""One pass over the weights of a data set: sizes of all factors, a short invariant sketch of each update."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorascope.adapters.names import DOWN, UP
from lorascope.data.weights import GroupWeights
from lorascope.features.layer_weights import BLOCK_ENTRIES, Layer, layers_of
from lorascope.files import read_table

DELTA = "delta"
SIDES = (DOWN, UP, DELTA)
SKETCHES = 8
SEED = 0


@dataclass(frozen=True)
class Scan:
    """What one pass tells of ``n`` adapters.

    Attributes:
        layers: layer paths.
        ranks: rank of each layer.
        norms: side (``down``, ``up``, ``delta``) → Frobenius norms of A, B and ΔW, float64 [n, layers]; not
            finite where a weight is not.
        sketches: float64 [n, ``SKETCHES``], random linear functions of all updates ΔW of an adapter together:
            the mean square of a difference estimates ‖ΔW − ΔW'‖².
    """

    layers: list[str]
    ranks: list[int]
    norms: dict[str, np.ndarray]
    sketches: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """‖ΔW‖_F over all layers, float64 [n]."""
        return np.sqrt(np.square(self.norms[DELTA]).sum(axis=1))


def open_groups(data_dir: str | Path) -> list[GroupWeights]:
    """Open the weights of all layer groups of a prepared data set."""
    groups = dict.fromkeys(read_table(Path(data_dir) / "layers.parquet", ["group"])["group"].to_pylist())
    return [GroupWeights.open(data_dir, group) for group in groups]


def scan(groups: list[GroupWeights]) -> Scan:
    """Read every weight once."""
    n_adapters = groups[0].n_adapters
    layers = [(weights, layer) for weights in groups for layer in layers_of(weights)]
    norms = {side: np.empty((n_adapters, len(layers))) for side in SIDES}
    sketches = np.zeros((n_adapters, SKETCHES))
    rng = np.random.default_rng(SEED)
    for place, (weights, layer) in enumerate(layers):
        left, right = (rng.standard_normal((SKETCHES, size)) for size in (layer.d_out, layer.d_in))
        for rows, down, up in _blocks(weights, layer):
            for side, values in _norms(down, up).items():
                norms[side][rows, place] = values
            sketches[rows] += np.einsum("nkr,nrk->nk", left @ up, down @ right.T)
    names, ranks = zip(*((layer.name, layer.rank) for _, layer in layers), strict=True)
    return Scan(list(names), list(ranks), norms, sketches)


def _blocks(weights: GroupWeights, layer: Layer) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield rows, A [n, r, d_in] and B [n, d_out, r] in float64, also where a weight is not finite."""
    step = max(1, BLOCK_ENTRIES // (layer.rank * (layer.d_in + layer.d_out)))
    for start in range(0, weights.n_adapters, step):
        stop = min(start + step, weights.n_adapters)
        down, up = (weights.read(matrix, start, stop).astype(np.float64) for matrix in (layer.down, layer.up))
        yield slice(start, stop), down, up


def _norms(down: np.ndarray, up: np.ndarray) -> dict[str, np.ndarray]:
    """Return the norms of A, B and BA; ‖BA‖² = ⟨BᵀB, AAᵀ⟩ takes nothing larger than r × r."""
    of_down, of_up = down @ down.swapaxes(1, 2), up.swapaxes(1, 2) @ up
    # Rounding may leave a square of a tiny norm below zero.
    squares = np.maximum(np.einsum("nij,nij->n", of_up, of_down), 0)
    traces = (np.einsum("nii->n", gram) for gram in (of_down, of_up))
    return dict(zip(SIDES, map(np.sqrt, (*traces, squares)), strict=True))
