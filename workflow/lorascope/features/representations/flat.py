"""Every entry of A and B as it is: the field's baseline, which depends on the basis of the factors."""

import numpy as np

from lorascope.features.columns import as_columns
from lorascope.features.layer_factors import LayerFactors, flattened

FITTED = False
INVARIANT_TO = ("float16", "int8")


def names(d_out: int, d_in: int, rank: int, fitted: dict | None = None) -> tuple[str, ...]:
    """Return ``down_i_j`` for each entry of A, then ``up_i_j`` for each of B, row by row."""
    return (
        *(f"down_{i}_{j}" for i in range(1, rank + 1) for j in range(1, d_in + 1)),
        *(f"up_{i}_{j}" for i in range(1, d_out + 1) for j in range(1, rank + 1)),
    )


def compute(factors: LayerFactors, fitted: dict | None = None) -> np.ndarray:
    """Return the entries, float32 [n, rank · (d_in + d_out)]."""
    return as_columns(*flattened(factors))
