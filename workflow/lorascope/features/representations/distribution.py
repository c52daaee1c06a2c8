"""Shape of the distribution of the entries."""

import math

from lorascope.features.batch import PERCENTS, MatrixBatch
from lorascope.features.columns import as_columns, ratio
from lorascope.features.namespace import Array
from lorascope.features.singular_values import FLOAT32_ROUNDING

NAMES = (
    *(f"percentile_{percent}" for percent in PERCENTS[1:-1]),
    "percentile_75_minus_25",
    "mean_absolute_deviation",
    "std_over_absolute_mean",
    "skewness",
    "kurtosis",
)


def compute(batch: MatrixBatch) -> Array:
    """Return percentiles 5 to 95, P75 − P25, mean |w − mean|, std / |mean|, skewness and kurtosis.

    std has divisor n−1. std / |mean| is 0 where the mean cannot be told from zero, that is where it is not
    above 2⁻²⁴ of the root mean square: rounding the entries to float32 can make a mean of that size. Skewness
    and kurtosis are the third and fourth standardised moments, 0 where all entries are equal.

    Returns:
        float32 [n_adapters, 12].
    """
    at = dict(zip(PERCENTS, batch.percentiles.T, strict=True))
    return as_columns(
        batch.percentiles[:, 1:-1],
        at[75] - at[25],
        batch.sums.absolute_deviations / batch.size,
        _std_over_absolute_mean(batch),
        batch.skewness,
        batch.kurtosis,
    )


def _std_over_absolute_mean(batch: MatrixBatch) -> Array:
    mean = batch.xp.abs(batch.mean)
    rounding = FLOAT32_ROUNDING * batch.frobenius / math.sqrt(batch.size)
    return ratio(batch.std, batch.xp.where(mean > rounding, mean, 0.0))
