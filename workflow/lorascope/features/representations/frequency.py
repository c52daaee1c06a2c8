"""Magnitudes of the two-dimensional discrete Fourier transform (DFT)."""

import numpy as np

from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import as_columns, ratio
from lorascope.features.namespace import Array, contiguous, in_tiles, namespace_of, row_sums, sort_rows

TOP = 10
NAMES = (
    *(f"magnitude_{i}" for i in range(1, TOP + 1)),
    "magnitude_mean",
    "magnitude_std",
    "magnitude_max",
    f"top_{TOP}_energy_share",
)
# Up to this length one product with the DFT matrix beats many short transforms.
_DFT_MATRIX_LIMIT = 64


def compute(batch: MatrixBatch) -> Array:
    """Return the ten largest magnitudes; mean, standard deviation (divisor n), max; energy share of the ten.

    The DFT is unnormalised and covers all rows · cols frequencies: a frequency and its mirror image are two
    magnitudes. Zeros follow where there are fewer than ten. The energy share is Σ top² / Σ all², and 0 for
    a zero matrix. Nothing changes under transposition.

    Returns:
        float32 [n_adapters, 14].
    """
    top, total, energy = in_tiles(_top_and_sums, batch.values)
    mean = total / batch.size
    # In float64 a difference of squares keeps digits enough, and no square overflows.
    std = batch.xp.sqrt((energy / batch.size - mean**2).clip(min=0))
    share = ratio(batch.xp.linalg.vecdot(top, top), energy).clip(max=1)
    return as_columns(top, mean, std, top[:, 0], share)


def _top_and_sums(values: Array) -> tuple[Array, Array, Array]:
    """Return the ten largest magnitudes, descending, float64 [n, 10]; sum and sum of squares of all, [n]."""
    rows = _long_rows(values)
    paired, single = _by_mirror_image(_half_spectrum(rows), rows.shape[2])
    dot = namespace_of(values).linalg.vecdot
    total = 2 * row_sums(paired) + row_sums(single)
    energy = 2 * dot(paired, paired) + dot(single, single)
    return _top(paired, single), total, energy


def _long_rows(values: Array) -> Array:
    """Return the matrices with the longer side last, float64 [n, short, long]."""
    _, rows, cols = values.shape
    xp = namespace_of(values)
    return xp.asarray(contiguous(values if rows <= cols else values.swapaxes(1, 2)), dtype=xp.float64)


def _half_spectrum(values: Array) -> Array:
    """Return |DFT| at columns 0 … cols // 2, float64 [n, rows, cols // 2 + 1]; others mirror them."""
    xp, rows = namespace_of(values), values.shape[1]
    spectrum = xp.fft.rfft(values)
    if 1 < rows <= _DFT_MATRIX_LIMIT:
        spectrum = xp.asarray(np.fft.fft(np.eye(rows)), device=values.device) @ spectrum
    elif rows > 1:
        spectrum = xp.fft.fft(spectrum, None, 1)
    return xp.abs(spectrum)


def _by_mirror_image(magnitudes: Array, cols: int) -> tuple[Array, Array]:
    """Return the magnitudes whose frequencies have a mirror image, [n, k], and those without, [n, l].

    Without are columns 0 and, if there is one, cols / 2. The former are written over ``magnitudes``, with
    zeros in these columns.
    """
    xp, n, middle = namespace_of(magnitudes), len(magnitudes), (cols + 1) // 2
    single = xp.concatenate([magnitudes[:, :, :1], magnitudes[:, :, middle:]], 2).reshape(n, -1)
    magnitudes[:, :, 0] = 0
    magnitudes[:, :, middle:] = 0
    return magnitudes.reshape(n, -1), single


def _top(paired: Array, single: Array) -> Array:
    """Return the ten largest magnitudes in descending order, float64 [n, 10]; ``paired`` is used up."""
    pairs = _largest(paired, TOP // 2)
    candidates = namespace_of(paired).concatenate([pairs, pairs, single], 1)
    return namespace_of(paired).flip(sort_rows(candidates)[:, -TOP:], (1,))


def _largest(left: Array, count: int) -> Array:
    """Return each row's ``count`` largest values; they are 0 in ``left`` then."""
    xp, (n, size), entries = namespace_of(left), left.shape, left.reshape(-1)
    largest = xp.empty((n, count), dtype=xp.float64, device=left.device)
    first = xp.arange(0, n * size, size, device=left.device)
    for i in range(count):
        position = first + left.argmax(axis=1)
        largest[:, i] = entries.take(position)
        entries[position] = 0
    return largest
