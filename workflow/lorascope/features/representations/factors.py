"""Balanced factors of the update: what networks read that know the symmetry of ΔW = BA themselves."""

import numpy as np

from lorascope.features.columns import as_columns
from lorascope.features.layer_factors import SMALLEST, LayerFactors

FITTED = False
# Rounding may turn the sign of a component; the probes that read it do not see that.
INVARIANT_TO = ("signs", "rescaling", "basis", "refactoring", "padding")


def names(d_out: int, d_in: int, rank: int, fitted: dict | None = None) -> tuple[str, ...]:
    """Return ``left_i_k`` for rows of ΔW and components, ``right_j_k`` for its columns, and ``log_norm``."""
    components = range(1, min(rank, d_out, d_in) + 1)
    return (
        *(f"left_{i}_{k}" for i in range(1, d_out + 1) for k in components),
        *(f"right_{j}_{k}" for j in range(1, d_in + 1) for k in components),
        "log_norm",
    )


def compute(factors: LayerFactors, fitted: dict | None = None) -> np.ndarray:
    """Return U √S, V √S of ΔW / ‖ΔW‖ and log ‖ΔW‖, float32 [n, (d_out + d_in) · K + 1].

    Of all factors of an update these share its size evenly, whatever factors it came in; what stays free is
    the common sign of a pair (u, v), fixed here by the largest entry of u, and rotations among equal singular
    values. A component that is absent is 0; the logarithm stops at 1e-12.
    """
    roots = np.sqrt(factors.unit_spectrum)[:, None]
    largest = np.take_along_axis(factors.U, np.abs(factors.U).argmax(axis=1, keepdims=True), axis=1)
    signed = np.where(largest < 0, -roots, roots)
    n = len(factors)
    left, right = (factors.U * signed).reshape(n, -1), (factors.V * signed).reshape(n, -1)
    return as_columns(left, right, np.log(np.maximum(factors.norm, SMALLEST)))
