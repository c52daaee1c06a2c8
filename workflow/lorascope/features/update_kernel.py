"""Dot products between updates ΔW of two sets of adapters, from their factors."""

import numpy as np

from lorascope.features.layer_factors import LayerFactors


def cosine_kernel(some: LayerFactors, others: LayerFactors) -> np.ndarray:
    """Return ⟨ΔWᵢ, ΔWⱼ⟩_F / (‖ΔWᵢ‖ ‖ΔWⱼ‖), float64 [len(some), len(others)]; 0 where an update is 0."""
    return dot_products((some.unit_left, some.V), (others.unit_left, others.V))


def dot_products(some: tuple[np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return Σ (LᵢᵀLⱼ) ∘ (RᵢᵀRⱼ) for updates L Rᵀ with L [n, d_out, K] and R [n, d_in, K]."""
    left, right = (_inner_products(*pair) for pair in zip(some, others, strict=True))
    return np.einsum("ikjl,ikjl->ij", left, right)


def _inner_products(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return all dot products of columns of [n, d, K] and [m, d, K], float64 [n, K, m, K]."""
    rows, cols = (x.swapaxes(1, 2).reshape(-1, x.shape[1]).astype(np.float64) for x in (some, others))
    return (rows @ cols.T).reshape(len(some), some.shape[2], len(others), others.shape[2])
