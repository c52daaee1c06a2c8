"""Features layer by layer, each layer scaled to weigh the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.errors import LorascopeError
from lorascope.features.read import matrix_of, read_features
from lorascope.probes.scaling import Scaling


@dataclass(frozen=True)
class LayerBlocks:
    """The features of chosen adapters, a block a layer.

    Attributes:
        layers: names.
        blocks: layer by layer float64 [n, features]; the mean squared length of a row is 1.
    """

    layers: tuple[str, ...]
    blocks: tuple[np.ndarray, ...]

    def side_by_side(self, chosen: Sequence[int]) -> np.ndarray:
        """Return the features of some layers, by position; rows have length 1 again (mean square)."""
        return np.concatenate([self.blocks[index] for index in chosen], axis=1) / np.sqrt(len(chosen))

    def kernel(self, chosen: Sequence[int]) -> np.ndarray:
        """Return the inner products of :meth:`side_by_side`, float64 [n, n], without putting it together."""
        return sum(self.blocks[index] @ self.blocks[index].T for index in chosen) / len(chosen)

    def width(self, chosen: Sequence[int]) -> int:
        """Return the number of features of some layers."""
        return sum(self.blocks[index].shape[1] for index in chosen)


def read_layer_blocks(
    features: Sequence[str],
    layers: Sequence[str],
    rows: np.ndarray,
    reference: np.ndarray,
    keep_proportions: bool,
) -> LayerBlocks:
    """Read the features of some adapters, file by file, so that only these are held.

    Args:
        features: feature files.
        layers: layers wanted, each in one or several of the files.
        rows: adapters wanted, by position.
        reference: bool [rows], the adapters whose mean and spread scale the features.
        keep_proportions: scale a layer's features together, not each on its own.

    Raises:
        LorascopeError: a layer is in none of the files, or a feature is not finite.
    """
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    for path in features:
        values, columns = read_features([path])
        owners = np.array([matrix_of(column).rpartition(".")[0] for column in columns])
        for layer in np.unique(owners):
            if layer in found:
                found[layer].append(values[np.ix_(rows, owners == layer)])
    if absent := [layer for layer, parts in found.items() if not parts]:
        raise LorascopeError(f"{features[0]}: no features of layer {absent[0]}; extract its layer group")
    blocks = [
        _scaled(layer, np.concatenate(parts, axis=1), reference, keep_proportions)
        for layer, parts in found.items()
    ]
    return LayerBlocks(tuple(layers), tuple(blocks))


def _scaled(layer: str, values: np.ndarray, reference: np.ndarray, keep_proportions: bool) -> np.ndarray:
    if not np.isfinite(values).all():
        raise LorascopeError(f"features of layer {layer} are not finite; please report this with the adapter")
    together = [layer] * values.shape[1] if keep_proportions else None
    scaled = Scaling.fit(values[reference], together).apply(values).astype(np.float64)
    length = np.sqrt(np.square(scaled[reference]).sum(axis=1).mean())
    return scaled / length if length else scaled
