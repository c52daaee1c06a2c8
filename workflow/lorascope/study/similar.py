"""The adapters of a data set nearest to a file: the exact kernel of `delta_kernel`, one against all."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from lorascope.data.weights import GroupWeights
from lorascope.features.columns import ratio
from lorascope.features.file_weights import FittedFile
from lorascope.features.layer_weights import Layer, layers_of
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
    """Return ⟨ΔWᵢ, ΔW⟩_F / (‖ΔWᵢ‖ ‖ΔW‖), the mean over layers, float64 [adapters]; 0 where an update is 0.

    Reading the weights is what takes the time: each layer is read once, by one of as many threads as there
    are cores.
    """
    norms = study.norms(list(file.norms))
    groups = dict.fromkeys(map(study.group_of, file.norms))
    tasks = [
        (weights, layer)
        for weights in (GroupWeights.open(study.data_folder, group) for group in groups)
        for layer in layers_of(weights)
        if file.norms.get(layer.name)
    ]

    def cosines(task: tuple[GroupWeights, Layer]) -> np.ndarray:
        weights, layer = task
        down, up = (file.matrices[weights.matrices[matrix].name] for matrix in (layer.down, layer.up))
        # A view of its own: threads that share one would take each other's pages away.
        own = GroupWeights(weights.path, weights.matrices, weights.n_adapters, weights.digests)
        stored = (own.read(matrix, 0, own.n_adapters) for matrix in (layer.down, layer.up))
        return ratio(inner_products(*stored, down, up), norms[layer.name] * file.norms[layer.name])

    # Each product of a thread is one thread's work, so that sums are added up in the same order everywhere.
    with threadpool_limits(1), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        total = np.zeros(len(next(iter(norms.values()))))
        for of_layer in pool.map(cosines, tasks):
            total += of_layer
    return total / len(file.norms)


def inner_products(down: np.ndarray, up: np.ndarray, one_down: np.ndarray, one_up: np.ndarray) -> np.ndarray:
    """Return ⟨ΔWᵢ, ΔW⟩_F = Σ (BᵢᵀB) ∘ (AᵢAᵀ) of many updates and one, float64 [n].

    Args:
        down, up: Aᵢ and Bᵢ, float32 [n, r, d_in] and [n, d_out, r].
        one_down, one_up: A and B, float32 [r, d_in] and [d_out, r].
    """
    # Of size 1, so that no product leaves the range of float32.
    sizes = np.linalg.norm(one_down), np.linalg.norm(one_up)
    one_down, one_up = one_down / sizes[0], one_up / sizes[1]
    read = (down.reshape(-1, down.shape[2]) @ one_down.T).reshape(*down.shape[:2], -1)
    # One product for all adapters where a product each would cost more to call than to compute.
    written = (up[:, :, 0] @ one_up)[:, None] if up.shape[2] == 1 else up.swapaxes(1, 2) @ one_up
    return np.einsum("nij,nij->n", read, written, dtype=np.float64) * (float(sizes[0]) * float(sizes[1]))
