"""Feature columns: from float64 results to the float32 that is stored, always finite."""

import math

import numpy as np

from lorascope.features.namespace import Array, namespace_of

_LARGEST = float(np.finfo(np.float32).max)


def as_columns(*parts: Array) -> Array:
    """Put results side by side, float32 [n, features]; what exceeds float32 becomes its largest value.

    Args:
        parts: arrays [n] (one feature) or [n, k] (k features) in the order of the features.
    """
    xp, n = namespace_of(parts[0]), len(parts[0])
    widths = [math.prod(part.shape[1:]) for part in parts]
    # Feature by feature in memory, as the file will have it: copies then run along whole columns.
    table = xp.empty((sum(widths), n), dtype=xp.float32, device=parts[0].device)
    first = 0
    # What exceeds float32 becomes infinite, which the clip mends.
    with np.errstate(over="ignore"):
        for part, width in zip(parts, widths, strict=True):
            table[first : first + width] = part.reshape(n, width).T
            first += width
    return xp.clip(table, -_LARGEST, _LARGEST, out=table).T


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return numerator / denominator, 0 where the denominator is 0."""
    xp = namespace_of(denominator)
    zero = denominator == 0
    return xp.where(zero, 0.0, numerator / xp.where(zero, 1.0, denominator))
