"""The exact linear kernel between updates, as features: a linear probe on all entries of every ΔW."""

import numpy as np

from lorascope.features.columns import as_columns
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.update_kernel import dot_products

FITTED = True
# A landmark is a column in every layer. On 600 adapters of a hard zoo (one to three images, Gaussian A), a
# logistic probe named 79 % with 128 landmarks, 83 % with 256 and 84 % with the whole training part of 420.
FIT_ROWS = 256
# Landmarks are stored to 2⁻²⁴, and whitening divides that by the root of an eigenvalue; where eigenvalues are
# below this share of the largest (of at least 1), rounding would begin to show.
CUT_OFF = 1e-10


class Fitter:
    """Nyström landmarks (Williams & Seeger 2001): the adapters seen, at most ``FIT_ROWS``."""

    def __init__(self, d_out: int, d_in: int, rank: int):
        self._left: list[np.ndarray] = []
        self._right: list[np.ndarray] = []

    def update(self, factors: LayerFactors) -> None:
        """Add landmarks."""
        self._left.append(factors.unit_left.astype(np.float32))
        self._right.append(factors.V.astype(np.float32))

    def finish(self) -> dict[str, np.ndarray]:
        """Return the landmarks and what whitens the kernel between them.

        ``left`` float32 [m, d_out, K] and ``right`` float32 [m, d_in, K] are factors of the landmarks' ΔW /
        ‖ΔW‖; ``whitening`` float64 [m, m] is the inverse square root of their kernel. Symmetric, so that
        features are alike in size and standardising them hardly changes their dot products.
        """
        left, right = np.concatenate(self._left), np.concatenate(self._right)
        values, vectors = np.linalg.eigh(dot_products((left, right), (left, right)))
        present = values > CUT_OFF * values[-1]
        scales = 1 / np.sqrt(np.where(present, values, np.inf))
        return {"left": left, "right": right, "whitening": (vectors * scales) @ vectors.T}


def names(d_out: int, d_in: int, rank: int, fitted: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Return ``landmark_i`` for each landmark of the fit."""
    return tuple(f"landmark_{i}" for i in range(1, len(fitted["left"]) + 1))


def compute(factors: LayerFactors, fitted: dict[str, np.ndarray]) -> np.ndarray:
    """Return K(·, landmarks) K(landmarks, landmarks)^(−1/2), float32 [n, landmarks]; 0 where ΔW is 0.

    K(i, j) = ⟨ΔWᵢ, ΔWⱼ⟩_F / (‖ΔWᵢ‖ ‖ΔWⱼ‖). Dot products of features are the kernel itself where one of the
    two adapters is a landmark, and its best approximation by the landmarks elsewhere; a sum over layers is
    the kernel of whole adapters in which every layer counts the same.
    """
    landmarks = fitted["left"], fitted["right"]
    return as_columns(dot_products((factors.unit_left, factors.V), landmarks) @ fitted["whitening"])
