"""The adapters of a data set nearest to a file: the exact kernel of `delta_kernel`, one against all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from lorascope.data.weights import GroupWeights
from lorascope.features.batch import ratio
from lorascope.features.extract import row_blocks
from lorascope.features.file_weights import FittedFile
from lorascope.features.layer_weights import BLOCK_ENTRIES, layers_of
from lorascope.study.finished import FinishedStudy


@dataclass(frozen=True)
class Neighbour:
    """One adapter of the study and the mean over layers of the cosine between its update and the file's."""

    adapter: str
    label: str
    split: str
    cosine: float


def nearest(study: FinishedStudy, file: FittedFile, count: int) -> list[Neighbour]:
    """Return the adapters with the largest cosine, the nearest first.

    Args:
        study: a finished study.
        file: in the layout of its data set; the layers that count are those that it was fitted to.
        count: how many.
    """
    cosines = mean_cosines(study, file)
    table = study.adapters("adapter", "label", "split")
    order = np.argsort(-cosines, kind="stable")[:count]
    return [
        Neighbour(*(str(table[name][row]) for name in ("adapter", "label", "split")), float(cosines[row]))
        for row in order
    ]


def mean_cosines(study: FinishedStudy, file: FittedFile) -> np.ndarray:
    """Return ⟨ΔWᵢ, ΔW⟩_F / (‖ΔWᵢ‖ ‖ΔW‖), the mean over layers, float64 [adapters]; 0 where an update is 0."""
    groups = dict.fromkeys(map(study.group_of, file.norms))
    found = [_group_cosines(GroupWeights.open(study.data_folder, group), file) for group in groups]
    return np.sum(found, axis=0) / len(file.norms)


def _group_cosines(weights: GroupWeights, file: FittedFile) -> np.ndarray:
    """Return the sum over the group's layers."""
    total = np.zeros(weights.n_adapters)
    with threadpool_limits(1):
        for layer in layers_of(weights):
            if file.norms.get(layer.name):
                down, up = (weights.read(matrix, 0, weights.n_adapters) for matrix in (layer.down, layer.up))
                query = [file.matrices[weights.matrices[matrix].name] for matrix in (layer.down, layer.up)]
                for rows in row_blocks(len(total), layer.rank * (layer.d_in + layer.d_out), BLOCK_ENTRIES):
                    products, squares = _products(down[rows], up[rows], *query)
                    total[rows] += ratio(products, np.sqrt(squares) * file.norms[layer.name])
    return total


def _products(
    down: np.ndarray, up: np.ndarray, query_down: np.ndarray, query_up: np.ndarray
) -> Sequence[np.ndarray]:
    """Return ⟨ΔWᵢ, ΔW⟩ and ‖ΔWᵢ‖² of A [n, r, d_in] and B [n, d_out, r], float64 [n] each."""
    if down.shape[1] == 1:
        down, up = down[:, 0], up[:, :, 0]
        products = (down @ query_down[0]).astype(np.float64) * (up @ query_up[:, 0])
        return products, np.vecdot(down, down).astype(np.float64) * np.vecdot(up, up)
    turned = up.swapaxes(1, 2)
    products = np.einsum("nij,nij->n", down @ query_down.T, turned @ query_up, dtype=np.float64)
    squares = np.einsum("nij,nij->n", down @ down.swapaxes(1, 2), turned @ up, dtype=np.float64)
    return products, np.maximum(squares, 0)
