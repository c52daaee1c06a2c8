"""Fit a representation to the training part, layer by layer; fits are one safetensors file a group."""

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from lorascope.errors import LorascopeError
from lorascope.features.layer_weights import Layer, LayeredWeights, factor_blocks, layers_of
from lorascope.features.registry import load_layer
from lorascope.tensor_files import read_tensors, write_tensors

SEED = 42
# Beside the arrays of each layer: the shape of ΔW that they fit.
SHAPE = "shape"

Fits = dict[str, dict[str, np.ndarray]]


def fit(
    weights: LayeredWeights,
    representation: str,
    train_rows: np.ndarray,
    out_path: str | Path,
    metadata: dict | None = None,
) -> None:
    """Fit ``representation`` to the training adapters of every layer and write what it learned.

    Weights of other adapters have no influence on a single bit of the file. Where a representation fits to
    at most ``FIT_ROWS`` adapters, these are drawn from the training part, the same for every layer.

    Args:
        weights: the layer group's weights.
        representation: one with ``FITTED``.
        train_rows: the training part, bool [n_adapters] or indices.
        out_path: safetensors file with arrays ``<layer>/<array>``, among them ``<layer>/shape``: d_out, d_in.
        metadata: stored in the file, with the representation's name and the number of adapters added.

    Raises:
        LorascopeError: nothing is fitted in this representation, there is no training adapter, or one of
            them has a weight that is NaN or infinite.
    """
    module = load_layer(representation)
    if not module.FITTED:
        raise LorascopeError(f"representation '{representation}' fits nothing; extract it without a fit")
    rows = _fit_rows(weights.n_adapters, train_rows, getattr(module, "FIT_ROWS", None))
    layers = layers_of(weights)
    # One thread: sums split between threads would round differently.
    with threadpool_limits(1):
        arrays = {
            f"{layer.name}/{name}": array
            for layer in layers
            for name, array in _fit_layer(module, weights, layer, rows).items()
        }
    about = {
        **(metadata or {}),
        "representation": representation,
        "fitted_adapters": int(rows.sum()),
    }
    write_tensors(out_path, arrays, about)


def _fit_rows(n_adapters: int, train_rows: np.ndarray, most: int | None) -> np.ndarray:
    """Return the adapters to fit to, bool [n_adapters]."""
    train = np.arange(n_adapters)[np.asarray(train_rows)]
    if not len(train):
        raise LorascopeError("no training adapter to fit to; check the split")
    if most is not None and len(train) > most:
        train = np.random.default_rng(SEED).choice(train, most, replace=False)
    rows = np.zeros(n_adapters, bool)
    rows[train] = True
    return rows


def _fit_layer(module, weights: LayeredWeights, layer: Layer, rows: np.ndarray) -> dict[str, np.ndarray]:
    fitter = module.Fitter(*layer.shape)
    for _, factors in factor_blocks(weights, layer, 0, weights.n_adapters, rows):
        fitter.update(factors)
    return {SHAPE: np.array([layer.d_out, layer.d_in]), **fitter.finish()}


def load_fit(path: str | Path, representation: str) -> Fits:
    """Read what :func:`fit` wrote.

    Returns:
        layer → array name → array.

    Raises:
        LorascopeError: the file is missing, damaged, or of another representation.
    """
    about, arrays = read_tensors(path)
    if (found := (about or {}).get("representation")) != representation:
        raise LorascopeError(f"{path}: a fit of '{found}', not of '{representation}'; fit the latter")
    fits: Fits = {}
    for key, array in arrays.items():
        layer, _, name = key.rpartition("/")
        fits.setdefault(layer, {})[name] = array
    return fits
