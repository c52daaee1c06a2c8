"""Percentiles of the entries and two ranges between them."""

from lorascope.features.batch import PERCENTS, MatrixBatch
from lorascope.features.columns import as_columns
from lorascope.features.namespace import Array

NAMES = (
    *(f"percentile_{percent}" for percent in PERCENTS),
    "percentile_75_minus_25",
    "percentile_99_minus_1",
)


def compute(batch: MatrixBatch) -> Array:
    """Return percentiles (linear interpolation), P75 − P25 and P99 − P1.

    Returns:
        float32 [n_adapters, 11].
    """
    at = dict(zip(PERCENTS, batch.percentiles.T, strict=True))
    return as_columns(batch.percentiles, at[75] - at[25], at[99] - at[1])
