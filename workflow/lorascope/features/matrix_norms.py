"""Matrix norms and two ratios between them."""

from lorascope.features.batch import MatrixBatch, ratio, row_sums
from lorascope.features.columns import as_columns
from lorascope.features.namespace import Array, namespace_of

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
    if min(rows, cols) > 1:
        return batch.by_strips(lambda entries: _largest_sums(abs(entries).reshape(-1, rows, cols)))
    (sums,) = batch.by_strips(lambda entries: (row_sums(abs(entries)),))
    return (batch.peak, sums) if rows == 1 else (sums, batch.peak)


def _largest_sums(matrices: Array) -> tuple[Array, Array]:
    """Return the largest column sum and row sum of each matrix, [n] and [n]."""
    xp, (_, rows, cols) = namespace_of(matrices), matrices.shape
    ones = xp.ones(max(rows, cols), dtype=xp.float64, device=matrices.device)
    return xp.amax(ones[:rows] @ matrices, -1), xp.amax(matrices @ ones[:cols], -1)
