"""One matrix of many adapters, with the intermediates that representations share."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from lorascope.features.namespace import Array, namespace_of, sort_rows
from lorascope.features.singular_values import singular_values

# All that any representation uses, so that one pass over the order statistics serves them all.
PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)
# Entries worked on in float64 at a time: a few arrays of that size fit into a core's own cache.
STRIP_ENTRIES = 1 << 15


class MatrixBatch:
    """One matrix of ``n`` adapters; what two representations need is computed once, and only if asked for.

    Statistics are float64: of float32 entries even a fourth power (1e-180 to 1e154) fits, so neither
    denormal nor huge weights need a case of their own, and the mean of a constant matrix is exact.

    Arrays are numpy's, or tensors of torch on any device; every formula serves both.

    Attributes:
        values: float32 [n, rows, cols].
        entries: the same values, float32 [n, rows · cols].
        xp: the module of the arrays' functions, numpy or torch.
    """

    def __init__(self, values: Array):
        self.xp = namespace_of(values)
        self.values = values
        self.entries = values.reshape(len(values), -1)

    @property
    def size(self) -> int:
        """Number of entries of the matrix."""
        return self.entries.shape[1]

    def on_device(self, array: np.ndarray) -> Array:
        """Return a numpy array as one that formulas can combine with the batch's."""
        return self.xp.asarray(array, device=self.values.device)

    @cached_property
    def sorted_entries(self) -> Array:
        """Entries in ascending order, float32 [n, size]."""
        return sort_rows(self.entries)

    @cached_property
    def minimum(self) -> Array:
        """Smallest entry, float32 [n]."""
        return self.xp.amin(self.entries, -1)

    @cached_property
    def maximum(self) -> Array:
        """Largest entry, float32 [n]."""
        return self.xp.amax(self.entries, -1)

    @cached_property
    def peak(self) -> Array:
        """Largest absolute entry, float32 [n]; not finite exactly where an entry is not."""
        return self.xp.maximum(self.maximum, -self.minimum)

    def by_strips(self, formula: Callable[..., tuple[Array, ...]], *arguments: Array) -> tuple[Array, ...]:
        """Apply a formula to the entries in float64, some adapters at a time; join each of its results.

        Args:
            formula: from float64 [k, size], and ``arguments`` of the same k adapters, to arrays [k, …].
            arguments: arrays [n, …].
        """
        n, xp = len(self.entries), self.xp
        # A device with many cores is busy only with all of them.
        step = max(STRIP_ENTRIES // self.size, 1) if xp is np else n
        strips = [slice(start, start + step) for start in range(0, n, step)]
        results = [
            formula(xp.asarray(self.entries[rows], dtype=xp.float64), *(array[rows] for array in arguments))
            for rows in strips
        ]
        return tuple(map(xp.concatenate, zip(*results, strict=True)))

    @cached_property
    def _moments(self) -> tuple[Array, Array, Array, Array, Array]:
        """Return the mean, and the means of d², d³, d⁴ and |d| of deviations d from it, float64 [n] each."""

        def sums(entries: Array) -> tuple[Array, ...]:
            mean = row_sums(entries) / self.size
            entries -= mean[:, None]
            squares = entries * entries
            return (
                mean,
                row_sums(squares) / self.size,
                dot(squares, entries) / self.size,
                dot(squares, squares) / self.size,
                row_sums(abs(entries)) / self.size,
            )

        dot = self.xp.linalg.vecdot
        return self.by_strips(sums)

    @property
    def mean(self) -> Array:
        """Mean, float64 [n]."""
        return self._moments[0]

    @property
    def variance(self) -> Array:
        """Mean squared deviation (divisor size), float64 [n]."""
        return self._moments[1]

    @property
    def mean_absolute_deviation(self) -> Array:
        """Mean absolute deviation from the mean, float64 [n]."""
        return self._moments[4]

    @cached_property
    def std(self) -> Array:
        """Standard deviation with divisor size − 1, float64 [n]; 0 for a single entry."""
        return self.xp.sqrt(self.variance * (self.size / max(self.size - 1, 1)))

    @cached_property
    def skewness(self) -> Array:
        """Third standardised moment, float64 [n]; 0 where all entries are equal."""
        return ratio(self._moments[2], self.variance * self.xp.sqrt(self.variance))

    @cached_property
    def kurtosis(self) -> Array:
        """Fourth standardised moment (3 for a normal law), float64 [n]; 0 where all entries are equal."""
        return ratio(self._moments[3], self.variance**2)

    @cached_property
    def frobenius(self) -> Array:
        """Frobenius norm, float64 [n]."""
        (squares,) = self.by_strips(lambda entries: (self.xp.linalg.vecdot(entries, entries),))
        return self.xp.sqrt(squares)

    @cached_property
    def percentiles(self) -> Array:
        """Percentiles ``PERCENTS`` with linear interpolation between order statistics, float64 [n, 9]."""
        position = np.asarray(PERCENTS) / 100 * (self.size - 1)
        below = position.astype(np.intp)
        above = np.minimum(below + 1, self.size - 1)
        weight = self.on_device(position - below)
        return self.sorted_entries[:, below] * (1 - weight) + self.sorted_entries[:, above] * weight

    @cached_property
    def median(self) -> Array:
        """Median, float64 [n]."""
        return self.percentiles[:, PERCENTS.index(50)]

    @cached_property
    def singular_values(self) -> Array:
        """Singular values in descending order, float64 [n, min(rows, cols)]; see :func:`singular_values`."""
        return singular_values(self.values, self.frobenius)


def row_sums(values: Array) -> Array:
    """Return the sum of each row of float64 [n, size]; BLAS does that twice as fast as numpy's own sum."""
    xp = namespace_of(values)
    return xp.linalg.vecdot(values, xp.ones(values.shape[1], dtype=xp.float64, device=values.device))


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return numerator / denominator, 0 where the denominator is 0."""
    xp = namespace_of(denominator)
    zero = denominator == 0
    return xp.where(zero, 0.0, numerator / xp.where(zero, 1.0, denominator))
