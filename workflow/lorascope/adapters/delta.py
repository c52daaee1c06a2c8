"""Numbers about ΔW = up · down, from the factors alone: ⟨ΔW₁, ΔW₂⟩ = Σ (B₁ᵀB₂) ∘ (A₁A₂ᵀ)."""

import math
from dataclasses import dataclass

import numpy as np

from lorascope.adapters.files import AdapterFile, Factors, Kronecker
from lorascope.adapters.formats.norms import frobenius_product, kronecker_inner_product
from lorascope.errors import LorascopeError


def inner_product(left: Factors, right: Factors) -> float:
    """Return ⟨ΔW, ΔW′⟩_F in float64; NaN or infinite where a factor is."""
    with np.errstate(all="ignore"):
        return frobenius_product(left.down, left.up, right.down, right.up)


@dataclass(frozen=True)
class LayerDifference:
    """How one layer differs between two adapters.

    Attributes:
        layer: canonical path.
        cosine: ⟨ΔW, ΔW′⟩ / (‖ΔW‖ ‖ΔW′‖); None where a norm is 0 or not finite.
        norm_ratio: ‖ΔW′‖ / ‖ΔW‖; None likewise.
        norms: both norms; None where not finite.
    """

    layer: str
    cosine: float | None
    norm_ratio: float | None
    norms: tuple[float | None, float | None]


@dataclass(frozen=True)
class Difference:
    """How two adapters differ.

    Attributes:
        layers: one entry a layer that both have in the same shape.
        cosine, norm_ratio: over all these layers as one long vector; None where a norm is 0 or not finite.
        only_first, only_second: layers that one of them lacks.
        other_shape: layers whose d_out or d_in differ.
    """

    layers: tuple[LayerDifference, ...]
    cosine: float | None
    norm_ratio: float | None
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    other_shape: tuple[str, ...]


def compare_adapters(first: AdapterFile, second: AdapterFile) -> Difference:
    """Compare two adapters layer by layer, from their factors; a convolution's kernel counts into d_in.

    Raises:
        LorascopeError: they have no layer in common.
    """
    shared = [layer for layer in first.layers if layer in second.layers]
    same = [layer for layer in shared if first.shapes[layer][:2] == second.shapes[layer][:2]]
    if not same:
        raise LorascopeError(f"{first.path} and {second.path} have no layer of the same name and shape")
    products = {layer: _products_of(first, second, layer) for layer in same}
    total = np.sum(list(products.values()), axis=0)
    return Difference(
        layers=tuple(_difference(layer, *values) for layer, values in products.items()),
        cosine=_cosine(*total),
        norm_ratio=_ratio(*total),
        only_first=tuple(layer for layer in first.layers if layer not in second.layers),
        only_second=tuple(layer for layer in second.layers if layer not in first.layers),
        other_shape=tuple(layer for layer in shared if layer not in set(same)),
    )


def _products_of(first: AdapterFile, second: AdapterFile, layer: str) -> tuple[float, float, float]:
    """⟨ΔW, ΔW⟩, ⟨ΔW, ΔW′⟩ and ⟨ΔW′, ΔW′⟩; those of LoKr without its factor form, which may be huge."""
    left, right = (adapter.layers.kronecker(layer) for adapter in (first, second))
    if left is None and right is None:
        return _products(first.layers[layer], second.layers[layer])
    squares = [adapter.layers.norm(layer) ** 2 for adapter in (first, second)]
    with np.errstate(all="ignore"):
        if left and right:
            mixed = _kronecker_product(first, second, layer, left, right)
        else:
            factors = (second if left else first).layers[layer]
            mixed = (
                kronecker_inner_product(*(left or right)[0], factors.down, factors.up) * (left or right)[1]
            )
    return squares[0], mixed, squares[1]


def _kronecker_product(
    first: AdapterFile, second: AdapterFile, layer: str, left: Kronecker, right: Kronecker
) -> float:
    """⟨W₁ ⊗ W₂, W₁′ ⊗ W₂′⟩ = ⟨W₁, W₁′⟩ ⟨W₂, W₂′⟩ where the halves have the same shapes."""
    shapes = [[(len(up), down.shape[1]) for down, up in halves] for halves, _ in (left, right)]
    if shapes[0] != shapes[1]:
        return inner_product(first.layers[layer], second.layers[layer])
    parts = [frobenius_product(*a, *b) for a, b in zip(left[0], right[0], strict=True)]
    return math.prod(parts) * left[1] * right[1]


def _products(left: Factors, right: Factors) -> tuple[float, float, float]:
    return inner_product(left, left), inner_product(left, right), inner_product(right, right)


def _difference(layer: str, left: float, mixed: float, right: float) -> LayerDifference:
    norms = tuple(math.sqrt(max(square, 0.0)) if math.isfinite(square) else None for square in (left, right))
    return LayerDifference(layer, _cosine(left, mixed, right), _ratio(left, mixed, right), norms)


def _cosine(left: float, mixed: float, right: float) -> float | None:
    if not _comparable(left, mixed, right):
        return None
    return float(np.clip(mixed / math.sqrt(left) / math.sqrt(right), -1, 1))


def _ratio(left: float, mixed: float, right: float) -> float | None:
    return math.sqrt(right) / math.sqrt(left) if _comparable(left, mixed, right) else None


def _comparable(left: float, mixed: float, right: float) -> bool:
    return left > 0 and right > 0 and all(map(math.isfinite, (left, mixed, right)))
