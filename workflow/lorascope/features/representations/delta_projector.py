"""How much of each coordinate lies in the column space and in the row space of ΔW."""

import numpy as np

from lorascope.features.columns import as_columns
from lorascope.features.layer_factors import LayerFactors

FITTED = False


def names(d_out: int, d_in: int, rank: int, fitted: dict | None = None) -> tuple[str, ...]:
    """Return ``left_i`` for each row of ΔW and ``right_j`` for each column."""
    return (*(f"left_{i}" for i in range(1, d_out + 1)), *(f"right_{j}" for j in range(1, d_in + 1)))


def compute(factors: LayerFactors, fitted: dict | None = None) -> np.ndarray:
    """Return the diagonals of UUᵀ and VVᵀ, float32 [n, d_out + d_in]; they sum to the rank of ΔW each."""
    return as_columns(np.vecdot(factors.U, factors.U), np.vecdot(factors.V, factors.V))
