"""The update ΔW = BA of one layer of many adapters: its thin SVD, exact, without forming ΔW."""

from functools import cached_property

import numpy as np

from lorascope.features.columns import ratio

# Factors stored in float32 after a change of basis may leave a component of this share of σ₁ where there
# was none (2⁻²⁴ a factor, times the condition of the change); what is smaller counts as no component.
NEGLIGIBLE = 2.0**-20
# Logarithms of norms stop here: far below any trained update, so that only a layer without one is affected.
SMALLEST = 1e-12


class LayerFactors:
    """Both factors of one layer of ``n`` adapters, alpha / r folded into ``up``.

    The singular value decomposition ΔW = U diag(S) Vᵀ has K = min(rank, d_in, d_out) components and costs
    O((d_in + d_out) · rank²) an adapter. It is a property of ΔW alone: (B G⁻¹, G A) has the same for every
    invertible G, but for the common sign of a pair (u, v) and for rotations among equal singular values.

    Attributes:
        down: A, float32 [n, rank, d_in].
        up: B, float32 [n, d_out, rank].
    """

    def __init__(self, down: np.ndarray, up: np.ndarray):
        self.down = down
        self.up = up
        self.rank, self.d_in = down.shape[1:]
        self.d_out = up.shape[1]

    def __len__(self) -> int:
        return len(self.down)

    @property
    def U(self) -> np.ndarray:  # noqa: N802, matrices are capital letters here
        """Left singular vectors, float64 [n, d_out, K]; 0 where the singular value is."""
        return self._svd[0]

    @property
    def S(self) -> np.ndarray:  # noqa: N802, matrices are capital letters here
        """Singular values in descending order, float64 [n, K]; below ``NEGLIGIBLE`` · σ₁ they are 0."""
        return self._svd[1]

    @property
    def V(self) -> np.ndarray:  # noqa: N802, matrices are capital letters here
        """Right singular vectors, float64 [n, d_in, K]; 0 where the singular value is."""
        return self._svd[2]

    @cached_property
    def norm(self) -> np.ndarray:
        """Frobenius norm of ΔW, float64 [n]."""
        return np.sqrt(np.vecdot(self.S, self.S))

    @cached_property
    def unit_spectrum(self) -> np.ndarray:
        """Singular values of ΔW / ‖ΔW‖, float64 [n, K]; all 0 where ΔW is 0."""
        return ratio(self.S, self.norm[:, None])

    @cached_property
    def unit_left(self) -> np.ndarray:
        """U S / ‖ΔW‖, float64 [n, d_out, K]: times Vᵀ it is ΔW / ‖ΔW‖."""
        return self.U * self.unit_spectrum[:, None]

    @cached_property
    def _svd(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        decompose = _rank_one_svd if self.rank == 1 else _thin_svd
        U, S, V = decompose(self.up.astype(np.float64), self.down.astype(np.float64).swapaxes(1, 2))
        smallest = NEGLIGIBLE * S[:, :1]
        present = (smallest < S)[:, None]
        return np.where(present, U, 0.0), np.where(present[:, 0], S, 0.0), np.where(present, V, 0.0)


def flattened(factors: LayerFactors) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of A and of B, row by row, float32 [n, entries] each."""
    return factors.down.reshape(len(factors), -1), factors.up.reshape(len(factors), -1)


def side_by_side(vectors: np.ndarray) -> np.ndarray:
    """Return the columns of all adapters, [n, d, K], as one matrix [d, n · K]."""
    return vectors.swapaxes(0, 1).reshape(vectors.shape[1], -1)


def _rank_one_svd(up: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return σ = ‖b‖‖a‖, u = b / ‖b‖, v = a / ‖a‖ of columns [n, d, 1]."""
    up_norm, down_norm = (np.sqrt(np.vecdot(x, x, axis=1))[:, None] for x in (up, down))
    return ratio(up, up_norm), (up_norm * down_norm)[:, 0], ratio(down, down_norm)


def _thin_svd(up: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the SVD of ``up`` ``down``ᵀ, [n, d, r] each, by QR of both and the SVD of what is between.

    Gram matrices would be quicker and square the condition number.
    """
    left, left_triangle = np.linalg.qr(up)
    right, right_triangle = np.linalg.qr(down)
    inner_left, S, inner_right = np.linalg.svd(
        left_triangle @ right_triangle.swapaxes(1, 2), full_matrices=False
    )
    return left @ inner_left, S, right @ inner_right.swapaxes(1, 2)
