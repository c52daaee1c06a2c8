"""Matrix norms and two ratios between them."""

import numpy as np

from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import as_columns, ratio
from lorascope.features.namespace import Array

NAMES = (
    "frobenius_norm",
    "nuclear_norm",
    "spectral_norm",
    "l1_norm",
    "linf_norm",
    "nuclear_over_frobenius",
    "spectral_over_frobenius",
)


def compute(batch: MatrixBatch) -> Array:
    """Return Frobenius, nuclear, spectral, L1 and L∞ norm, nuclear / Frobenius and spectral / Frobenius.

    L1 is the largest absolute column sum, L∞ the largest absolute row sum. The ratios are 1 at rank 1,
    and 0 for a zero matrix.

    Returns:
        float32 [n_adapters, 7].
    """
    nuclear = batch.singular_values.sum(axis=-1)
    spectral = batch.singular_values[:, 0]
    return as_columns(
        batch.frobenius,
        nuclear,
        spectral,
        *_largest_absolute_sums(batch),
        ratio(nuclear, batch.frobenius),
        ratio(spectral, batch.frobenius),
    )


def _largest_absolute_sums(batch: MatrixBatch) -> tuple[Array, Array]:
    """Return the largest absolute column sum and row sum of each matrix, [n] and [n]."""
    _, rows, cols = batch.values.shape
    if rows == 1:
        return batch.peak, batch.sums.absolute
    if cols == 1:
        return batch.sums.absolute, batch.peak
    absolute = batch.xp.abs(batch.double).reshape(batch.values.shape)
    sums_of_columns = batch.on_device(np.ones(rows)) @ absolute
    sums_of_rows = absolute @ batch.on_device(np.ones(cols))
    return batch.xp.amax(sums_of_columns, -1), batch.xp.amax(sums_of_rows, -1)
