"""From the matrices of a layer group to the factors of its layers, some adapters at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lorascope.adapters.names import DOWN, UP
from lorascope.errors import LorascopeError
from lorascope.features.layer_factors import LayerFactors

# Entries of both factors worked on at a time: enough that calls cost little, few enough to stay in cache.
BLOCK_ENTRIES = 1 << 18


class Matrix(Protocol):
    """One factor of one layer; lorascope.adapters.names.MatrixInfo is one."""

    layer: str
    side: str
    rows: int
    cols: int
    name: str


class LayeredWeights(Protocol):
    """What layer representations need of weights; lorascope.data.weights.GroupWeights has it."""

    matrices: Sequence[Matrix]
    n_adapters: int

    def read(self, matrix: int, start: int, stop: int) -> np.ndarray:
        """Return adapters ``start`` to ``stop`` of one matrix, float32 [stop − start, rows, cols]."""


@dataclass(frozen=True)
class Layer:
    """One layer: where its factors are among the matrices, and the shape of ΔW."""

    name: str
    down: int
    up: int
    d_out: int
    d_in: int
    rank: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """``d_out``, ``d_in`` and ``rank``."""
        return self.d_out, self.d_in, self.rank


def layers_of(weights: LayeredWeights) -> list[Layer]:
    """Return the layers of a group in order of first appearance.

    Raises:
        LorascopeError: a layer has only one of its factors.
    """
    places: dict[str, dict[str, int]] = {}
    for index, matrix in enumerate(weights.matrices):
        places.setdefault(matrix.layer, {})[matrix.side] = index
    for name, sides in places.items():
        if absent := {DOWN, UP} - sides.keys():
            raise LorascopeError(f"layer {name} lacks its {absent.pop()} matrix; ΔW needs both")
    return [_layer(weights, name, sides[DOWN], sides[UP]) for name, sides in places.items()]


def _layer(weights: LayeredWeights, name: str, down: int, up: int) -> Layer:
    rank, d_in = weights.matrices[down].rows, weights.matrices[down].cols
    return Layer(name, down, up, weights.matrices[up].rows, d_in, rank)


def factor_blocks(
    weights: LayeredWeights, layer: Layer, start: int, stop: int, rows: np.ndarray | None = None
) -> Iterator[tuple[slice, LayerFactors]]:
    """Yield the factors of adapters ``start`` to ``stop`` of one layer, block by block.

    Args:
        rows: bool [n_adapters], the adapters wanted; all if None.

    Yields:
        Position of the block counted from ``start``, and its factors (of the wanted adapters only).

    Raises:
        LorascopeError: a weight that is wanted is NaN or infinite.
    """
    step = max(1, BLOCK_ENTRIES // (layer.rank * (layer.d_in + layer.d_out)))
    for first in range(start, stop, step):
        last = min(first + step, stop)
        chosen = np.arange(first, last) if rows is None else first + np.flatnonzero(rows[first:last])
        if len(chosen):
            down, up = (
                _finite(weights.read(matrix, first, last)[chosen - first], weights.matrices[matrix], chosen)
                for matrix in (layer.down, layer.up)
            )
            yield slice(first - start, last - start), LayerFactors(down, up)


def _finite(values: np.ndarray, matrix: Matrix, rows: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values).all(axis=(1, 2))
    if not finite.all():
        raise LorascopeError(
            f"matrix '{matrix.name}': adapter row {rows[np.argmin(finite)]} has NaN or infinite weights; "
            "repair or remove the adapter"
        )
    return values
