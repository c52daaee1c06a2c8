"""One matrix of many adapters, with the intermediates that representations share."""

from functools import cached_property

import numpy as np

from lorascope.features.columns import ratio
from lorascope.features.namespace import Array, namespace_of, sort_rows
from lorascope.features.singular_values import singular_values
from lorascope.features.sums import Sums, sums_of_rows

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
        # Which of two zeros comes first is left open; + 0 makes both the positive one.
        return self.xp.amin(self.entries, -1) + 0.0

    @cached_property
    def maximum(self) -> Array:
        """Largest entry, float32 [n]."""
        return self.xp.amax(self.entries, -1) + 0.0

    @cached_property
    def peak(self) -> Array:
        """Largest absolute entry, float32 [n]; not finite exactly where an entry is not."""
        return self.xp.maximum(self.maximum, -self.minimum)

    @cached_property
    def double(self) -> Array:
        """Entries, float64 [n, size]."""
        return self.xp.asarray(self.entries, dtype=self.xp.float64)

    @cached_property
    def sums(self) -> Sums:
        """All sums over the entries, in one go."""
        return sums_of_rows(self.entries)

    @cached_property
    def mean(self) -> Array:
        """Mean, float64 [n]."""
        return self.sums.entries / self.size

    @cached_property
    def _variance(self) -> Array:
        return self.sums.squared_deviations / self.size

    @cached_property
    def std(self) -> Array:
        """Standard deviation with divisor size − 1, float64 [n]; 0 for a single entry."""
        return self.xp.sqrt(self.sums.squared_deviations / max(self.size - 1, 1))

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
        return self.xp.sqrt(self.sums.squared_deviations + self.size * self.mean**2)

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
