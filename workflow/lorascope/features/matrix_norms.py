"""Matrix norms and two ratios between them."""

import numpy as np

from lorascope.features.batch import MatrixBatch, ratio
from lorascope.features.columns import as_columns

NAMES = (
    "frobenius_norm",
    "nuclear_norm",
    "spectral_norm",
    "l1_norm",
    "linf_norm",
    "nuclear_over_frobenius",
    "spectral_over_frobenius",
)


def compute(batch: MatrixBatch) -> np.ndarray:
    """Return Frobenius, nuclear, spectral, L1 and L∞ norm, nuclear / Frobenius and spectral / Frobenius.

    L1 is the largest absolute column sum, L∞ the largest absolute row sum. The ratios are 1 at rank 1,
    and 0 for a zero matrix.

    Returns:
        float32 [n_adapters, 7].
    """
    nuclear = batch.singular_values.sum(axis=-1)
    spectral = batch.singular_values[:, 0]
    column_sums, row_sums = _absolute_sums(batch)
    return as_columns(
        batch.frobenius,
        nuclear,
        spectral,
        column_sums.max(axis=-1),
        row_sums.max(axis=-1),
        ratio(nuclear, batch.frobenius),
        ratio(spectral, batch.frobenius),
    )


def _absolute_sums(batch: MatrixBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return absolute column sums [n, cols] and row sums [n, rows]."""
    _, rows, cols = batch.values.shape
    absolute = np.abs(batch.double).reshape(-1, rows, cols)
    return np.ones(rows) @ absolute, absolute @ np.ones(cols)
