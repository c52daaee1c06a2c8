"""Feature columns: from float64 results to the float32 that is stored."""

import numpy as np

_LARGEST = np.finfo(np.float32).max


def as_columns(*parts: np.ndarray) -> np.ndarray:
    """Put results side by side, float32 [n, features]; what exceeds float32 becomes its largest value.

    Args:
        parts: arrays [n] (one feature) or [n, k] (k features) in the order of the features.
    """
    table = np.column_stack(parts)
    return np.clip(table, -_LARGEST, _LARGEST).astype(np.float32)
