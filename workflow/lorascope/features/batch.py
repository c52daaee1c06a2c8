"""One matrix of many adapters, with the intermediates that representations share."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from lorascope.features.namespace import Array, in_tiles, namespace_of, sort_rows
from lorascope.features.singular_values import singular_values

# All that any representation uses, so that one pass over the order statistics serves them all.
PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)


class MatrixBatch:
    """One matrix of ``n`` adapters; what two representations need is computed once, and only if asked for.

    Statistics are float64: of float32 entries even a fourth power (1e-180 to 1e154) fits, so neither
    denormal nor huge weights need a case of their own, and the mean of a constant matrix is exact.

    Arrays are numpy's, or tensors of torch on any device; every formula serves both.

    Attributes:
        values: float32 [n, rows, cols].
        entries: the same values, float32 [n, rows · cols].
        xp: the module of the arrays' functions, numpy or torch.
        foreseen: names of properties that will be asked for in any case: what comes out of them for nothing
            is taken from there. Values are the same either way.
    """

    foreseen: frozenset[str] = frozenset()

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
        return self._ends[0]

    @cached_property
    def maximum(self) -> Array:
        """Largest entry, float32 [n]."""
        return self._ends[1]

    @cached_property
    def _ends(self) -> tuple[Array, Array]:
        if "sorted_entries" in self.foreseen:
            ends = self.sorted_entries[:, 0], self.sorted_entries[:, -1]
        else:
            ends = self.xp.amin(self.entries, -1), self.xp.amax(self.entries, -1)
        # Which of two zeros comes first is left open; + 0 makes both the positive one.
        return ends[0] + 0.0, ends[1] + 0.0

    @cached_property
    def peak(self) -> Array:
        """Largest absolute entry, float32 [n]; not finite exactly where an entry is not."""
        return self.xp.maximum(self.maximum, -self.minimum)

    @cached_property
    def double(self) -> Array:
        """Entries, float64 [n, size]."""
        return self.xp.asarray(self.entries, dtype=self.xp.float64)

    @cached_property
    def sums(self) -> "Sums":
        """All sums over the entries, in one pass."""
        return Sums(*in_tiles(_sums, self.entries))

    @cached_property
    def _sum_and_squares(self) -> tuple[Array, Array]:
        """Sum of the entries and sum of their squared deviations."""
        if "sums" in self.foreseen:
            return self.sums.entries, self.sums.squared_deviations
        return in_tiles(_sum_and_squares, self.entries)

    @cached_property
    def absolute_sum(self) -> Array:
        """Sum of the absolute values of the entries, float64 [n]."""
        if "sums" in self.foreseen:
            return self.sums.absolute
        return in_tiles(_absolute_sum, self.entries)[0]

    @cached_property
    def mean(self) -> Array:
        """Mean, float64 [n]."""
        return self._sum_and_squares[0] / self.size

    @cached_property
    def _variance(self) -> Array:
        return self._sum_and_squares[1] / self.size

    @cached_property
    def std(self) -> Array:
        """Standard deviation with divisor size − 1, float64 [n]; 0 for a single entry."""
        return self.xp.sqrt(self._sum_and_squares[1] / max(self.size - 1, 1))

    @cached_property
    def skewness(self) -> Array:
        """Third standardised moment, float64 [n]; 0 where all entries are equal."""
        third = self.sums.cubed_deviations / self.size
        return ratio(third, self._variance * self.xp.sqrt(self._variance))

    @cached_property
    def kurtosis(self) -> Array:
        """Fourth standardised moment (3 for a normal law), float64 [n]; 0 where all entries are equal."""
        return ratio(self.sums.fourth_powers_of_deviations / self.size, self._variance**2)

    @cached_property
    def frobenius(self) -> Array:
        """Frobenius norm, float64 [n]."""
        return self.xp.sqrt(self._sum_and_squares[1] + self.size * self.mean**2)

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


class Sums(NamedTuple):
    """Sums over the entries of each matrix and over their deviations from its mean, float64 [n] each."""

    entries: Array
    absolute: Array
    absolute_deviations: Array
    squared_deviations: Array
    cubed_deviations: Array
    fourth_powers_of_deviations: Array


def _sums(entries: Array) -> Sums:
    """Return the sums of each row of float32 [n, size]."""
    xp = namespace_of(entries)
    dot = xp.linalg.vecdot
    # Two arrays, written over again and again: to bring new memory into cache costs as much as a sum.
    values = xp.asarray(entries, dtype=xp.float64)
    work = xp.abs(values)
    total, absolute = row_sums(values), row_sums(work)
    values -= total[:, None] / values.shape[1]
    absolute_deviations = row_sums(xp.abs(values, out=work))
    xp.multiply(work, work, out=work)
    return Sums(
        total,
        absolute,
        absolute_deviations,
        dot(values, values),
        dot(work, values),
        dot(work, work),
    )


def _sum_and_squares(entries: Array) -> tuple[Array, Array]:
    """Return of each row of float32 [n, size] two of its sums, to the last bit as :func:`_sums` has them."""
    xp = namespace_of(entries)
    values = xp.asarray(entries, dtype=xp.float64)
    total = row_sums(values)
    values -= total[:, None] / values.shape[1]
    return total, xp.linalg.vecdot(values, values)


def _absolute_sum(entries: Array) -> tuple[Array]:
    xp = namespace_of(entries)
    return (row_sums(xp.abs(xp.asarray(entries, dtype=xp.float64))),)


def row_sums(values: Array) -> Array:
    """Return the sum of each row of float64 [n, size]; BLAS does that twice as fast as numpy's own sum."""
    xp = namespace_of(values)
    return xp.linalg.vecdot(values, xp.ones(values.shape[1], dtype=xp.float64, device=values.device))


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return numerator / denominator, 0 where the denominator is 0."""
    xp = namespace_of(denominator)
    zero = denominator == 0
    return xp.where(zero, 0.0, numerator / xp.where(zero, 1.0, denominator))
