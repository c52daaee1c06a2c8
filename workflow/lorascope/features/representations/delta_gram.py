"""Second-order view: in which of the training part's leading directions an update reads and writes."""

import numpy as np

from lorascope.features.columns import as_columns
from lorascope.features.delta_axes import AxesFitter, axis_counts
from lorascope.features.layer_factors import LayerFactors

FITTED = True
# As in `delta_bilinear`, columns are coordinates by falling share.
SCALED_BY_LAYER = True
Fitter = AxesFitter


def names(d_out: int, d_in: int, rank: int, fitted: dict | None = None) -> tuple[str, ...]:
    """Return ``left_i_j`` and ``right_i_j`` for i ≤ j: 136 each where d_out and d_in are 16 or more."""
    return tuple(
        f"{side}_{i + 1}_{j + 1}"
        for side, count in zip(("left", "right"), axis_counts(d_out, d_in), strict=True)
        for i, j in zip(*np.triu_indices(count), strict=True)
    )


def compute(factors: LayerFactors, fitted: dict[str, np.ndarray]) -> np.ndarray:
    """Return the upper triangles of PᵀUUᵀP and QᵀVVᵀQ, float32 [n, features].

    UUᵀ is the projector on the column space of ΔW, VVᵀ the one on its row space; neither knows the sign,
    the size or the basis of the factors. All components count the same, however small.
    """
    return as_columns(_view(fitted["left"], factors.U), _view(fitted["right"], factors.V))


def _view(axes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    seen = axes.T @ vectors
    rows, cols = np.triu_indices(axes.shape[1])
    return (seen @ seen.swapaxes(1, 2))[:, rows, cols]
