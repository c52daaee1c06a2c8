"""Inner products and norms of ΔW from its parts, without ΔW and without much memory of their own."""

from math import prod

import numpy as np

from lorascope.adapters.formats.algebra import Read, Shapes, loha_halves, lokr_halves, lora_factors
from lorascope.adapters.formats.keys import LOHA, LOKR

_BLOCK = 1 << 18


def squared_norm(family: str, read: Read, shapes: Shapes) -> float:
    """Return ‖ΔW‖² of the unscaled ΔW in float64, by the cheapest way that the family has."""
    if family == LOKR:
        # ‖W₁ ⊗ W₂‖ = ‖W₁‖ ‖W₂‖
        return prod(frobenius_product(*half, *half) for half in lokr_halves(read, shapes))
    if family == LOHA:
        return _loha_squared_norm(read, shapes)
    down, up = lora_factors(read, shapes)
    return frobenius_product(down, up, down, up)


def frobenius_product(down1: np.ndarray, up1: np.ndarray, down2: np.ndarray, up2: np.ndarray) -> float:
    """Return ⟨U₁D₁, U₂D₂⟩ = Σ (U₁ᵀU₂) ∘ (D₁D₂ᵀ) in float64.

    Block by block: it needs no more memory than the factors.
    """
    rows = max(1, _BLOCK // len(down2))
    if up1 is up2 and down1 is down2 and rows >= len(down1):
        return float(np.sum(_gram(up1.T) * _gram(down1)))
    total = 0.0
    for start in range(0, len(down1), rows):
        some = slice(start, start + rows)
        total += float(np.sum(_gram(up1.T[some], up2.T) * _gram(down1[some], down2)))
    return total


def kronecker_inner_product(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    down: np.ndarray,
    up: np.ndarray,
) -> float:
    """Return ⟨W₁ ⊗ W₂, U·D⟩ in float64: (W₁ ⊗ W₂)·d is W₁ X W₂ᵀ for d as a matrix X.

    Args:
        first, second: factors (down, up) of W₁ and W₂.
        down, up: D [rank, d_in] and U [d_out, rank].
    """
    (down1, up1), (down2, up2) = (tuple(part.astype(np.float64) for part in half) for half in (first, second))
    total = 0.0
    for row, column in zip(down, up.T, strict=True):
        x = row.astype(np.float64).reshape(down1.shape[1], down2.shape[1])
        image = up1 @ (down1 @ x @ down2.T) @ up2.T
        total += float(np.sum(image * column.reshape(image.shape)))
    return total


def _gram(left: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
    """left [p, n] · right [q, n]ᵀ in float64; left · leftᵀ without ``right``."""
    wide = len(left) if right is None else max(len(left), len(right))
    columns = max(1, _BLOCK // wide)
    product = np.zeros((len(left), len(left) if right is None else len(right)))
    for start in range(0, left.shape[1], columns):
        some = slice(start, start + columns)
        first = left[:, some].astype(np.float64)
        product += first @ (first if right is None else right[:, some].astype(np.float64)).T
    return product


def _loha_squared_norm(read: Read, shapes: Shapes) -> float:
    """Row by row: the factor form has dim² columns, the two halves only dim."""
    (up1, down1), (up2, down2) = loha_halves(read, shapes)
    rows = max(1, _BLOCK // down1.shape[1])
    total = 0.0
    for start in range(0, len(up1), rows):
        some = slice(start, start + rows)
        block = (up1[some] @ down1) * (up2[some] @ down2)
        total += float(np.sum(np.square(block, dtype=np.float64)))
    return total
