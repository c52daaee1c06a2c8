"""One matrix of many adapters, with the intermediates that representations share."""

from functools import cached_property

import numpy as np

from lorascope.features.singular_values import singular_values

# All that any representation uses, so that one pass over the order statistics serves them all.
PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)


class MatrixBatch:
    """One matrix of ``n`` adapters; what two representations need is computed once, and only if asked for.

    Statistics are float64: of float32 entries even a fourth power (1e-180 to 1e154) fits, so neither
    denormal nor huge weights need a case of their own, and the mean of a constant matrix is exact.

    Attributes:
        values: float32 [n, rows, cols].
        entries: the same values, float32 [n, rows · cols].
    """

    def __init__(self, values: np.ndarray):
        self.values = values
        self.entries = values.reshape(len(values), -1)

    @property
    def size(self) -> int:
        """Number of entries of the matrix."""
        return self.entries.shape[1]

    @cached_property
    def sorted_entries(self) -> np.ndarray:
        """Entries in ascending order, float32 [n, size]."""
        return np.sort(self.entries, axis=-1)

    @cached_property
    def minimum(self) -> np.ndarray:
        """Smallest entry, float32 [n]."""
        return self.entries.min(axis=-1)

    @cached_property
    def maximum(self) -> np.ndarray:
        """Largest entry, float32 [n]."""
        return self.entries.max(axis=-1)

    @cached_property
    def peak(self) -> np.ndarray:
        """Largest absolute entry, float32 [n]; not finite exactly where an entry is not."""
        return np.maximum(self.maximum, -self.minimum)

    @cached_property
    def double(self) -> np.ndarray:
        """Entries, float64 [n, size]."""
        return self.entries.astype(np.float64)

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean, float64 [n]."""
        return row_sums(self.double) / self.size

    @cached_property
    def deviations(self) -> np.ndarray:
        """Entries minus their mean, float64 [n, size]."""
        return self.double - self.mean[:, None]

    @cached_property
    def _squared_deviations(self) -> np.ndarray:
        return self.deviations * self.deviations

    @cached_property
    def variance(self) -> np.ndarray:
        """Mean squared deviation (divisor size), float64 [n]."""
        return np.vecdot(self.deviations, self.deviations) / self.size

    @cached_property
    def std(self) -> np.ndarray:
        """Standard deviation with divisor size − 1, float64 [n]; 0 for a single entry."""
        return np.sqrt(self.variance * (self.size / max(self.size - 1, 1)))

    @cached_property
    def skewness(self) -> np.ndarray:
        """Third standardised moment, float64 [n]; 0 where all entries are equal."""
        third = np.vecdot(self._squared_deviations, self.deviations) / self.size
        return ratio(third, self.variance * np.sqrt(self.variance))

    @cached_property
    def kurtosis(self) -> np.ndarray:
        """Fourth standardised moment (3 for a normal law), float64 [n]; 0 where all entries are equal."""
        fourth = np.vecdot(self._squared_deviations, self._squared_deviations) / self.size
        return ratio(fourth, self.variance**2)

    @cached_property
    def frobenius(self) -> np.ndarray:
        """Frobenius norm, float64 [n]."""
        return np.sqrt(np.vecdot(self.double, self.double))

    @cached_property
    def percentiles(self) -> np.ndarray:
        """Percentiles ``PERCENTS`` with linear interpolation between order statistics, float64 [n, 9]."""
        position = np.asarray(PERCENTS) / 100 * (self.size - 1)
        below = position.astype(np.intp)
        above = np.minimum(below + 1, self.size - 1)
        weight = position - below
        return self.sorted_entries[:, below] * (1 - weight) + self.sorted_entries[:, above] * weight

    @cached_property
    def median(self) -> np.ndarray:
        """Median, float64 [n]."""
        return self.percentiles[:, PERCENTS.index(50)]

    @cached_property
    def singular_values(self) -> np.ndarray:
        """Singular values in descending order, float64 [n, min(rows, cols)]; see :func:`singular_values`."""
        return singular_values(self.values, self.frobenius)


def row_sums(values: np.ndarray) -> np.ndarray:
    """Return the sum of each row of float64 [n, size]; BLAS does that twice as fast as numpy's own sum."""
    return np.vecdot(values, np.ones(values.shape[1]))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return numerator / denominator, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator != 0)
