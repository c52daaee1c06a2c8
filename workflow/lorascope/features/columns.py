"""Feature columns: from float64 results to the float32 that is stored."""

import numpy as np

_LARGEST = float(np.finfo(np.float32).max)


def as_columns(*parts: np.ndarray) -> np.ndarray:
    """Put results side by side, float32 [n, features]; what exceeds float32 becomes its largest value.

    Args:
        parts: arrays [n] (one feature) or [n, k] (k features) in the order of the features.
    """
    n = len(parts[0])
    # Feature by feature in memory, as the file will have it: copies then run along whole columns.
    table = np.empty((sum(part.size for part in parts) // n, n))
    first = 0
    for part in parts:
        last = first + part.size // n
        table[first:last] = part.T
        first = last
    np.minimum(table, _LARGEST, out=table)
    np.maximum(table, -_LARGEST, out=table)
    return table.astype(np.float32).T
