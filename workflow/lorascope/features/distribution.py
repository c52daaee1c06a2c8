"""Shape of the distribution of the entries."""

import numpy as np

from lorascope.features.batch import MatrixBatch, ratio
from lorascope.features.columns import as_columns
from lorascope.features.singular_values import FLOAT32_ROUNDING

PERCENTS = (5, 10, 25, 50, 75, 90, 95)
NAMES = (
    *(f"percentile_{percent}" for percent in PERCENTS),
    "percentile_75_minus_25",
    "mean_absolute_deviation",
    "std_over_absolute_mean",
    "skewness",
    "kurtosis",
)


def compute(batch: MatrixBatch) -> np.ndarray:
    """Return percentiles, P75 − P25, mean absolute deviation from the mean, std / |mean|, skewness, kurtosis.

    std has divisor n−1. std / |mean| is 0 where the mean cannot be told from zero, that is where
    |mean| ≤ 2⁻²⁴ · mean |w|: rounding the entries to float32 alone can make a mean of that size. Skewness and
    kurtosis are the third and fourth standardised moments, 0 where all entries are equal.

    Returns:
        float32 [n_adapters, 12].
    """
    percentiles = batch.percentiles(PERCENTS)
    at = dict(zip(PERCENTS, percentiles.T, strict=True))
    return as_columns(
        percentiles,
        at[75] - at[25],
        np.abs(batch.deviations).mean(axis=-1),
        _std_over_absolute_mean(batch),
        batch.skewness,
        batch.kurtosis,
    )


def _std_over_absolute_mean(batch: MatrixBatch) -> np.ndarray:
    mean = np.abs(batch.mean)
    rounding = FLOAT32_ROUNDING * np.abs(batch.double).mean(axis=-1)
    return ratio(batch.std, np.where(mean > rounding, mean, 0.0))
