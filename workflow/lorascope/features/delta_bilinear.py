"""First-order view: ΔW between the training part's leading directions."""

import numpy as np

from lorascope.features.columns import as_columns
from lorascope.features.delta_axes import AxesFitter, axis_counts
from lorascope.features.layer_factors import LayerFactors

FITTED = True
Fitter = AxesFitter


def names(d_out: int, d_in: int, rank: int, fitted: dict | None = None) -> tuple[str, ...]:
    """Return ``entry_i_j``, i-th direction of P with j-th of Q: 256 where d_out and d_in are 16 or more."""
    rows, cols = axis_counts(d_out, d_in)
    return tuple(f"entry_{i}_{j}" for i in range(1, rows + 1) for j in range(1, cols + 1))


def compute(factors: LayerFactors, fitted: dict[str, np.ndarray]) -> np.ndarray:
    """Return Pᵀ ΔW Q / ‖ΔW‖_F row by row, float32 [n, features]; 0 where ΔW is 0."""
    return as_columns(between(factors, fitted["left"], fitted["right"]))


def between(factors: LayerFactors, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return leftᵀ ΔW right / ‖ΔW‖_F as (leftᵀ U) S (Vᵀ right), float64 [n, p · q].

    Divided by the norm, the layers of an adapter count the same (``delta_spectrum`` has the norms).

    Args:
        left: [d_out, p].
        right: [d_in, q].
    """
    written = (left.T @ factors.U) * factors.unit_spectrum[:, None]
    return (written @ (factors.V.swapaxes(1, 2) @ right)).reshape(len(factors), -1)
