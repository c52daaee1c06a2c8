"""One formula for numpy and for torch: what the two call differently, and nothing else.

Formulas take their functions from ``xp``, which is numpy or torch, as in the Python array API standard. Both
know the functions and positional arguments that are used; the few that differ are here. torch is imported
only once there is a tensor.
"""

from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

Array: TypeAlias = "np.ndarray | torch.Tensor"


def namespace_of(array: Array) -> ModuleType:
    """Return the module of an array's functions: numpy or torch."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    import torch

    return torch


def as_numpy(array: Array) -> np.ndarray:
    """Return the array in main memory; a numpy array is returned as it is."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def contiguous(array: Array) -> Array:
    """Return the array with its entries in row-major order, copied only if they are not."""
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array.contiguous()


def sort_rows(array: Array) -> Array:
    """Return a copy with the last axis in ascending order."""
    return np.sort(array, axis=-1) if isinstance(array, np.ndarray) else array.sort(dim=-1).values


def triangular_factors(tall: Array) -> Array:
    """Return R of the thin QR decomposition of each matrix: [n, rows, cols] → [n, cols, cols]."""
    found = namespace_of(tall).linalg.qr(tall, mode="r")
    return found if isinstance(tall, np.ndarray) else found.R


def power_of_two(exponent: Array) -> Array:
    """Return 2 to integer powers between −1022 and 1023, float64: exact, as torch's ldexp is not."""
    xp = namespace_of(exponent)
    # The eleven bits above the 52 of a float64's fraction are its exponent plus 1023.
    return ((xp.asarray(exponent, dtype=xp.int64) + 1023) << 52).view(xp.float64)
