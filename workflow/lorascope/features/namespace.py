"""One formula for numpy and for torch: what the two call differently, and nothing else.

Formulas take their functions from ``xp``, which is numpy or torch, as in the Python array API standard. Both
know the functions and positional arguments that are used; the few that differ are here. torch is imported
only once there is a tensor.
"""

import math
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

Array: TypeAlias = "np.ndarray | torch.Tensor"

# Entries of a tile: enough that calls cost little, few enough that intermediates in float64 stay in cache.
TILE_ENTRIES = 1 << 17


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


def in_tiles(function: Callable[..., tuple[Array, ...]], *arrays: Array) -> tuple[Array, ...]:
    """Return ``function(*arrays)``, on the host some rows at a time: what it makes on its way stays in cache.

    Args:
        function: returns arrays whose rows depend on the same row of its arguments alone.
        arrays: all of the same length; the first decides how many rows are a tile.
    """
    rows, step = len(arrays[0]), max(TILE_ENTRIES // math.prod(arrays[0].shape[1:]), 1)
    if rows <= step or not isinstance(arrays[0], np.ndarray):
        return function(*arrays)
    tiles = [function(*(array[start : start + step] for array in arrays)) for start in range(0, rows, step)]
    return tuple(np.concatenate(parts) for parts in zip(*tiles, strict=True))


def sort_rows(array: Array) -> Array:
    """Return a copy with the last axis in ascending order."""
    return np.sort(array, axis=-1) if isinstance(array, np.ndarray) else array.sort(dim=-1).values


def row_sums(values: Array) -> Array:
    """Return the sum of each row of float64 [n, size]; BLAS does that twice as fast as numpy's own sum."""
    xp = namespace_of(values)
    return xp.linalg.vecdot(values, xp.ones(values.shape[1], dtype=xp.float64, device=values.device))


def triangular_factors(tall: Array) -> Array:
    """Return R of the thin QR decomposition of each matrix: [n, rows, cols] → [n, cols, cols]."""
    found = namespace_of(tall).linalg.qr(tall, mode="r")
    return found if isinstance(tall, np.ndarray) else found.R
