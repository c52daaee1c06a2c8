"""A map of adapters: the two directions in which their updates differ most."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from lorascope.data.labels import training_rows
from lorascope.data.weights import GroupWeights
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.layer_weights import LayeredWeights, factor_blocks, layers_of
from lorascope.features.update_kernel import cosine_kernel
from lorascope.files import read_table, write_table
from lorascope.wording import plural

SEED = 42
# Two directions need three adapters; with less variance (of cosines, an adapter) there is only rounding.
FEWEST = 3
NO_VARIANCE = 1e-12


def write_map(
    data_dir: str | Path,
    groups: Sequence[str],
    adapters: str | Path,
    most: int,
    out_path: str | Path,
    provenance: dict,
) -> None:
    """Write kernel principal components (Schölkopf, Smola & Müller 1998) of adapters.

    The kernel is that of ``delta_kernel``, exact, on average over all layers. Components are those of the
    training part; other adapters are only placed in them.

    Args:
        data_dir: what ``prepare`` wrote.
        groups: layer groups.
        adapters: label and split table.
        most: adapters on the map; of more, a random part is shown.
        out_path: table with columns adapter, label, split, x, y; ``variance`` in its metadata is the share
            of the training part's variance along x and along y. Where there are no such directions the table
            is empty, and its metadata has the ``reason``.
        provenance: stored in the file.

    Raises:
        LorascopeError: a weight is NaN or infinite.
    """
    table = read_table(adapters, ["adapter", "label", "split"])
    rows = _shown(table.num_rows, most)
    train = np.isin(rows, training_rows(adapters))
    if train.sum() < FEWEST:
        _write_nothing(
            out_path, table, provenance, f"{plural(train.sum(), 'training adapter')}; a map needs {FEWEST}"
        )
        return
    # One thread: sums split between threads would round differently.
    with threadpool_limits(1):
        kernel = layer_mean_kernel([GroupWeights.open(data_dir, group) for group in groups], rows, train)
        if _total_variance(kernel[train]) <= NO_VARIANCE * train.sum():
            _write_nothing(
                out_path, table, provenance, "the updates of all training adapters point the same way"
            )
            return
        places, variance = principal_places(kernel, train)
    shown = table.take(pa.array(rows))
    for name, column in zip("xy", places.T, strict=True):
        shown = shown.append_column(name, pa.array(column))
    write_table(out_path, shown, {**provenance, "variance": variance})


def _write_nothing(out_path: str | Path, table: pa.Table, provenance: dict, reason: str) -> None:
    nothing = table.slice(0, 0)
    for name in "xy":
        nothing = nothing.append_column(name, pa.array([], pa.float64()))
    write_table(out_path, nothing, {**provenance, "reason": reason})


def _shown(count: int, most: int) -> np.ndarray:
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(SEED).choice(count, most, replace=False))


def layer_mean_kernel(weights: Sequence[LayeredWeights], rows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the cosine of the updates, averaged over all layers: float64 [rows, training rows].

    Args:
        weights: of every layer group.
        rows: adapters, ascending.
        train: bool [rows].
    """
    total, count = 0.0, 0
    for group in weights:
        wanted = np.zeros(group.n_adapters, bool)
        wanted[rows] = True
        for layer in layers_of(group):
            blocks = factor_blocks(group, layer, 0, group.n_adapters, wanted)
            every = _joined([factors for _, factors in blocks])
            some = LayerFactors(every.down[train], every.up[train])
            total = total + cosine_kernel(every, some)
            count += 1
    return total / count


def _joined(blocks: list[LayerFactors]) -> LayerFactors:
    down, up = (np.concatenate([getattr(block, side) for block in blocks]) for side in ("down", "up"))
    return LayerFactors(down, up)


def principal_places(kernel: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Return places float64 [n, 2] of adapters and the shares of variance of the two directions.

    Args:
        kernel: float64 [n, training adapters].
        train: bool [n], which rows are the training adapters.
    """
    from sklearn.decomposition import KernelPCA

    model = KernelPCA(2, kernel="precomputed", eigen_solver="dense").fit(kernel[train])
    places = model.transform(kernel)
    # The sign of a direction is free: fixed by its largest training entry.
    largest = np.abs(places[train]).argmax(axis=0)
    places *= np.where(places[train][largest, range(places.shape[1])] < 0, -1.0, 1.0)
    return places, (model.eigenvalues_ / _total_variance(kernel[train])).tolist()


def _total_variance(kernel: np.ndarray) -> float:
    return float(np.trace(kernel - kernel.mean(axis=0)))
