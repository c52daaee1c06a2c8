"""Five plain statistics of the entries."""

from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import as_columns
from lorascope.features.namespace import Array

NAMES = ("frobenius_norm", "mean", "std", "max", "min")


def compute(batch: MatrixBatch) -> Array:
    """Return Frobenius norm, mean, standard deviation (n−1; 0 for one entry), max and min.

    Returns:
        float32 [n_adapters, 5].
    """
    return as_columns(batch.frobenius, batch.mean, batch.std, batch.maximum, batch.minimum)
