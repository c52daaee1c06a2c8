"""From the weights of a layer group to the feature file of one layer representation."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from lorascope.errors import LorascopeError
from lorascope.features.feature_file import feature_writer
from lorascope.features.fit import SHAPE, Fits, load_fit
from lorascope.features.layer_weights import Layer, LayeredWeights, factor_blocks, layers_of
from lorascope.features.registry import load_layer

# Ends the layer's path in the names of columns, where representations of matrices have `down` and `up`.
DELTA = "delta"
# Features of one row group: 4 bytes each bound the memory, whatever the number of adapters and of columns.
CHUNK_ENTRIES = 1 << 26
_MOST_ROWS = 8192


def extract_layers(
    weights: LayeredWeights,
    representation: str,
    out_path: str | Path,
    fits_path: str | Path | None = None,
    metadata: dict | None = None,
) -> None:
    """Compute a layer representation and write one parquet file: one row an adapter, in order.

    Columns are float32, named ``<layer>.delta/<feature>``, layer by layer. Values do not depend on the
    number of threads, and memory is bounded whatever the number of adapters.

    Args:
        weights: the layer group's weights.
        representation: name of a layer representation.
        out_path: where the file goes.
        fits_path: what :func:`lorascope.features.fit.fit` wrote, for a representation that is fitted.
        metadata: stored in the file, with the representation's name added.

    Raises:
        LorascopeError: a weight is NaN or infinite, the representation is unknown, or the fit is missing,
            not wanted, or of other layers.
    """
    module = load_layer(representation)
    layers = layers_of(weights)
    fits = _fits_of(module, representation, layers, fits_path)
    names = [module.names(*layer.shape, fits.get(layer.name)) for layer in layers]
    columns = [
        f"{layer.name}.{DELTA}/{name}"
        for layer, of_layer in zip(layers, names, strict=True)
        for name in of_layer
    ]
    about = {**(metadata or {}), "representation": representation}
    # One thread: sums split between threads would round differently.
    with threadpool_limits(1), feature_writer(out_path, columns, about) as write:
        for start, stop in _chunks(weights.n_adapters, len(columns)):
            table = np.empty((len(columns), stop - start), np.float32)
            first = 0
            for layer, of_layer in zip(layers, names, strict=True):
                last = first + len(of_layer)
                for place, factors in factor_blocks(weights, layer, start, stop):
                    table[first:last, place] = module.compute(factors, fits.get(layer.name)).T
                first = last
            write(table)


def _chunks(n_adapters: int, n_columns: int) -> Iterator[tuple[int, int]]:
    rows = min(max(CHUNK_ENTRIES // max(n_columns, 1), 1), _MOST_ROWS)
    for start in range(0, n_adapters, rows):
        yield start, min(start + rows, n_adapters)


def _fits_of(module, representation: str, layers: list[Layer], path: str | Path | None) -> Fits:
    if not module.FITTED:
        if path is not None:
            raise LorascopeError(f"representation '{representation}' fits nothing; leave out {path}")
        return {}
    if path is None:
        raise LorascopeError(
            f"representation '{representation}' is fitted to the training part; run `lorascope fit` first"
        )
    fits = load_fit(path, representation)
    for layer in layers:
        if layer.name not in fits:
            raise LorascopeError(f"{path}: no fit of layer {layer.name}; fit this layer group")
        if (shape := tuple(fits[layer.name][SHAPE])) != (layer.d_out, layer.d_in):
            raise LorascopeError(
                f"{path}: layer {layer.name} was {shape[0]} × {shape[1]} when it was fitted and is "
                f"{layer.d_out} × {layer.d_in}; fit it to adapters of this base model"
            )
    return fits
