"""Seven moments and order statistics of the entries."""

from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import as_columns
from lorascope.features.namespace import Array

NAMES = ("mean", "std", "median", "min", "max", "skewness", "kurtosis")


def compute(batch: MatrixBatch) -> Array:
    """Return mean, standard deviation (n−1), median, min, max, skewness and kurtosis.

    Skewness and kurtosis are the third and fourth standardised moments (divisor n; 3 is a normal law's
    kurtosis), and 0 where all entries are equal.

    Returns:
        float32 [n_adapters, 7].
    """
    return as_columns(
        batch.mean, batch.std, batch.median, batch.minimum, batch.maximum, batch.skewness, batch.kurtosis
    )
