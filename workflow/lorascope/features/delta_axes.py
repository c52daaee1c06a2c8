"""The directions in which the updates of the training part mostly read and write: P of U, Q of V."""

import numpy as np

from lorascope.features.layer_factors import LayerFactors, side_by_side

COUNT = 16
# Second moments carry this share of rounding; a direction with less is one that no adapter has.
_ROUNDING = 1e-12


class AxesFitter:
    """Leading eigenvectors of Σ U S² Uᵀ and Σ V S² Vᵀ, of ΔW / ‖ΔW‖ so that every adapter counts the same.

    Adapters are added up as they come: memory is d_out² + d_in², whatever their number.
    """

    def __init__(self, d_out: int, d_in: int, rank: int):
        self._left = np.zeros((d_out, d_out))
        self._right = np.zeros((d_in, d_in))

    def update(self, factors: LayerFactors) -> None:
        """Add adapters."""
        self._left += _second_moment(factors.unit_left)
        self._right += _second_moment(factors.V * factors.unit_spectrum[:, None])

    def finish(self) -> dict[str, np.ndarray]:
        """Return P as ``left`` [d_out, min(16, d_out)] and Q as ``right`` [d_in, min(16, d_in)], float64.

        Columns are orthonormal; where there are fewer directions than columns, the last columns are 0.
        """
        return {"left": _leading(self._left), "right": _leading(self._right)}


def axis_counts(d_out: int, d_in: int) -> tuple[int, int]:
    """Return the numbers of columns of P and of Q."""
    return min(COUNT, d_out), min(COUNT, d_in)


def between(factors: LayerFactors, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return leftᵀ ΔW right / ‖ΔW‖_F as (leftᵀ U) S (Vᵀ right), float64 [n, p · q].

    Divided by the norm, the layers of an adapter count the same (``delta_spectrum`` has the norms).

    Args:
        left: [d_out, p].
        right: [d_in, q].
    """
    written = (left.T @ factors.U) * factors.unit_spectrum[:, None]
    return (written @ (factors.V.swapaxes(1, 2) @ right)).reshape(len(factors), -1)


def _second_moment(vectors: np.ndarray) -> np.ndarray:
    """Return Σ x xᵀ over adapters and components of [n, d, k]."""
    columns = side_by_side(vectors)
    return columns @ columns.T


def _leading(moment: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(moment)
    values, vectors = values[::-1][:COUNT], vectors[:, ::-1][:, :COUNT]
    return with_fixed_signs(np.where(values > _ROUNDING * values[0], vectors, 0.0))


def with_fixed_signs(columns: np.ndarray) -> np.ndarray:
    """Return the columns of [d, k], each with the sign that makes its largest entry positive.

    The sign of an eigenvector is free: fixing it makes fits to the same updates in other bases agree.
    """
    largest = np.take_along_axis(columns, np.abs(columns).argmax(axis=0, keepdims=True), axis=0)
    return np.ascontiguousarray(np.where(largest < 0, -columns, columns))
