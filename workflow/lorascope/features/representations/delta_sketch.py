"""ΔW between random directions: nothing is fitted, so the same numbers mean the same in every study."""

from functools import cache

import numpy as np

from lorascope.features.columns import as_columns
from lorascope.features.delta_axes import between
from lorascope.features.layer_factors import LayerFactors

FITTED = False
COUNT = 16
SEED = 42


def names(d_out: int, d_in: int, rank: int, fitted: dict | None = None) -> tuple[str, ...]:
    """Return ``sketch_i_j`` for i, j from 1 to 16."""
    return tuple(f"sketch_{i}_{j}" for i in range(1, COUNT + 1) for j in range(1, COUNT + 1))


def compute(factors: LayerFactors, fitted: dict | None = None) -> np.ndarray:
    """Return Lᵀ ΔW R / ‖ΔW‖_F row by row, float32 [n, 256]; 0 where ΔW is 0.

    L and R are Gaussian with variance 1 / 16, so that dot products of sketches estimate those of updates
    without bias (Johnson & Lindenstrauss 1984).
    """
    left, right = _directions(0, factors.d_out), _directions(1, factors.d_in)
    return as_columns(between(factors, left, right))


@cache
def _directions(side: int, size: int) -> np.ndarray:
    rng = np.random.default_rng([SEED, side, size])
    return rng.standard_normal((size, COUNT)) / np.sqrt(COUNT)
