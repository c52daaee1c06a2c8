"""Sums over the entries of each matrix."""

from typing import NamedTuple

import numpy as np

from lorascope.features.namespace import Array, contiguous, namespace_of


class Sums(NamedTuple):
    """Sums over the entries of each matrix and over their deviations from its mean, float64 [n] each."""

    entries: Array
    absolute: Array
    absolute_deviations: Array
    squared_deviations: Array
    cubed_deviations: Array
    fourth_powers_of_deviations: Array


def sums_of_rows(entries: Array) -> Sums:
    """Return the sums of each row of float32 [n, size]; they depend on no other row."""
    if not isinstance(entries, np.ndarray):
        return _sums_of_tensors(entries)
    from lorascope.features.sums_loop import sum_rows

    sums = np.empty((len(Sums._fields), len(entries)))
    sum_rows(contiguous(entries), sums)
    return Sums(*sums)


def _sums_of_tensors(entries: Array) -> Sums:
    xp = namespace_of(entries)
    values = xp.asarray(entries, dtype=xp.float64)
    total = values.sum(-1)
    deviations = values - total[:, None] / values.shape[1]
    squares = deviations * deviations
    return Sums(
        total,
        xp.abs(values).sum(-1),
        xp.abs(deviations).sum(-1),
        squares.sum(-1),
        xp.linalg.vecdot(squares, deviations),
        xp.linalg.vecdot(squares, squares),
    )
