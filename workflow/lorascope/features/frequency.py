"""Magnitudes of the two-dimensional discrete Fourier transform (DFT)."""

import numpy as np

from lorascope.features.batch import MatrixBatch, ratio, row_sums
from lorascope.features.columns import as_columns
from lorascope.features.namespace import Array, contiguous, in_tiles, namespace_of, sort_rows

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
    magnitudes, cols = _half_spectrum(rows), rows.shape[2]
    return _top(magnitudes, cols), *_sums(magnitudes, cols)


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


def _mirrored_columns(cols: int) -> slice:
    """Return which columns of the half spectrum have a mirror image outside of it: all but 0 and cols / 2."""
    return slice(1, (cols + 1) // 2)


def _sums(magnitudes: Array, cols: int) -> tuple[Array, Array]:
    """Return sum and sum of squares over the full spectrum, float64 [n] each."""
    xp, n = namespace_of(magnitudes), len(magnitudes)
    times = xp.ones(magnitudes.shape[2], dtype=xp.float64, device=magnitudes.device)
    times[_mirrored_columns(cols)] = 2
    counted, magnitudes = (magnitudes * times).reshape(n, -1), magnitudes.reshape(n, -1)
    return row_sums(counted), xp.linalg.vecdot(counted, magnitudes)


def _top(magnitudes: Array, cols: int) -> Array:
    """Return the ten largest magnitudes of the full spectrum in descending order, float64 [n, 10]."""
    xp, n = namespace_of(magnitudes), len(magnitudes)
    mirrored = _mirrored_columns(cols)
    pairs = _largest(xp.asarray(magnitudes[:, :, mirrored], copy=True).reshape(n, -1), TOP // 2)
    singles = xp.concatenate([magnitudes[:, :, :1], magnitudes[:, :, mirrored.stop :]], 2).reshape(n, -1)
    return xp.flip(sort_rows(xp.concatenate([pairs, pairs, singles], 1))[:, -TOP:], (1,))


def _largest(left: Array, count: int) -> Array:
    """Return each row's ``count`` largest values, zeros when there are fewer; they are 0 in ``left`` then."""
    xp, (n, size) = namespace_of(left), left.shape
    largest = xp.zeros((n, count), dtype=xp.float64, device=left.device)
    if size:
        left = left.reshape(-1)
        first = xp.arange(0, n * size, size, device=left.device)
        for i in range(count):
            position = first + left.reshape(n, size).argmax(axis=1)
            largest[:, i] = left.take(position)
            left[position] = 0
    return largest
