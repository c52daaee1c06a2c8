"""Leading singular vectors of ΔW, their common sign fixed by the training part."""

import numpy as np

from lorascope.features.columns import as_columns
from lorascope.features.delta_axes import with_fixed_signs
from lorascope.features.layer_factors import SMALLEST, LayerFactors, side_by_side

FITTED = True
WIDTH = 64
SEED = 42


class Fitter:
    """Leading singular pair of the mean of ΔW / ‖ΔW‖ over the adapters seen.

    The mean is only ever multiplied with random matrices, from both sides, and its singular vectors are
    recovered from the two products (Tropp, Yurtsever, Udell & Cevher 2017, algorithm 4): one pass over the
    adapters and (d_out + d_in) · ``WIDTH`` numbers of memory; exact where the mean has rank 64 or less.
    """

    def __init__(self, d_out: int, d_in: int, rank: int):
        rng = np.random.default_rng([SEED, d_out, d_in])
        width = min(WIDTH, d_out, d_in)
        self._right_test = rng.standard_normal((d_in, width))
        self._left_test = rng.standard_normal((d_out, 2 * width + 1))
        self._range = np.zeros((d_out, width))
        self._corange = np.zeros((d_in, 2 * width + 1))

    def update(self, factors: LayerFactors) -> None:
        """Add adapters."""
        left, right = side_by_side(factors.unit_left), side_by_side(factors.V)
        self._range += left @ (right.T @ self._right_test)
        self._corange += right @ (left.T @ self._left_test)

    def finish(self) -> dict[str, np.ndarray]:
        """Return ``left`` [d_out] and ``right`` [d_in], float64 of length 1."""
        basis, _ = np.linalg.qr(self._range)
        inner, *_ = np.linalg.lstsq(self._left_test.T @ basis, self._corange.T)
        left, _, right = np.linalg.svd(inner, full_matrices=False)
        pair = with_fixed_signs(np.concatenate([basis @ left[:, 0], right[0]])[:, None])[:, 0]
        return {"left": pair[: len(basis)], "right": pair[len(basis) :]}


def names(d_out: int, d_in: int, rank: int, fitted: dict | None = None) -> tuple[str, ...]:
    """Return ``left_i`` for each row of ΔW, ``right_j`` for each column, and ``log_sigma``."""
    return (
        *(f"left_{i}" for i in range(1, d_out + 1)),
        *(f"right_{j}" for j in range(1, d_in + 1)),
        "log_sigma",
    )


def compute(factors: LayerFactors, fitted: dict[str, np.ndarray]) -> np.ndarray:
    """Return u₁, v₁ and log σ₁ of ΔW, float32 [n, d_out + d_in + 1].

    Of (u₁, v₁) and (−u₁, −v₁) the one is taken that points along the training part's leading pair,
    u₁ · left + v₁ · right ≥ 0. Only the first component: where singular values lie close together, which
    one is second is chance. The logarithm stops at 1e-12; u₁ and v₁ are 0 where ΔW is 0.
    """
    left, right = factors.U[:, :, 0], factors.V[:, :, 0]
    along = np.vecdot(left, fitted["left"]) + np.vecdot(right, fitted["right"])
    sign = np.where(along < 0, -1.0, 1.0)[:, None]
    return as_columns(sign * left, sign * right, np.log(np.maximum(factors.S[:, 0], SMALLEST)))
