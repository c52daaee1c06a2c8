"""Magnitudes of the two-dimensional discrete Fourier transform (DFT)."""

import numpy as np

from lorascope.features.batch import MatrixBatch, ratio
from lorascope.features.columns import as_columns
from lorascope.features.namespace import Array, contiguous, in_tiles, namespace_of, power_of_two, sort_rows

TOP = 10
NAMES = (
    *(f"magnitude_{i}" for i in range(1, TOP + 1)),
    "magnitude_mean",
    "magnitude_std",
    "magnitude_max",
    f"top_{TOP}_energy_share",
)
# While the largest entry is between these, float32 holds every magnitude and its square.
_SAFE_PEAK = (2.0**-40, 2.0**30)
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
    scale = _scale_to_safe_range(batch.peak)
    top, mean, std = in_tiles(_summaries, batch.values, scale)
    energy = batch.size * (std**2 + mean**2)
    share = ratio(batch.xp.linalg.vecdot(top, top), energy).clip(max=1)
    return as_columns(top / scale[:, None], mean / scale, std / scale, top[:, 0] / scale, share)


def _scale_to_safe_range(peak: Array) -> Array:
    """Return factors, float64 [n]: 1 for ordinary matrices, else the power of two that makes peak ≈ 1."""
    xp = namespace_of(peak)
    lowest, highest = _SAFE_PEAK
    ordinary = (peak == 0) | ((peak >= lowest) & (peak <= highest))
    _, exponent = xp.frexp(peak)
    return xp.where(ordinary, 1.0, power_of_two(-exponent))


def _summaries(values: Array, scale: Array) -> tuple[Array, Array, Array]:
    """Return the ten largest magnitudes [n, 10], and mean and standard deviation [n] of all."""
    rows = _long_rows(values)
    magnitudes, cols = _half_spectrum(rows, scale), rows.shape[2]
    return _top(magnitudes, cols), *_mean_and_std(magnitudes, cols)


def _long_rows(values: Array) -> Array:
    """Return the matrices with the longer side last, float64 [n, short, long]."""
    _, rows, cols = values.shape
    xp = namespace_of(values)
    return xp.asarray(contiguous(values if rows <= cols else values.swapaxes(1, 2)), dtype=xp.float64)


def _half_spectrum(values: Array, scale: Array) -> Array:
    """Return scale · |DFT| at columns 0 … cols // 2, float32 [n, rows, cols // 2 + 1]; others mirror them."""
    xp, rows = namespace_of(values), values.shape[1]
    # Of all this the transform alone is as fast in float64, so float32 starts after it.
    spectrum = xp.fft.rfft(values)
    if (scale != 1).any():
        spectrum *= scale[:, None, None]
    spectrum = xp.asarray(spectrum, dtype=xp.complex64)
    if 1 < rows <= _DFT_MATRIX_LIMIT:
        dft = np.fft.fft(np.eye(rows)).astype(np.complex64)
        spectrum = xp.asarray(dft, device=values.device) @ spectrum
    elif rows > 1:
        spectrum = xp.fft.fft(spectrum, None, 1)
    return xp.abs(spectrum)


def _mirrored_columns(cols: int) -> slice:
    """Return which columns of the half spectrum have a mirror image outside of it: all but 0 and cols / 2."""
    return slice(1, (cols + 1) // 2)


def _top(magnitudes: Array, cols: int) -> Array:
    """Return the ten largest magnitudes of the full spectrum in descending order, float64 [n, 10]."""
    xp, n = namespace_of(magnitudes), len(magnitudes)
    mirrored = _mirrored_columns(cols)
    pairs = _largest(magnitudes[:, :, mirrored].reshape(n, -1), TOP // 2)
    singles = xp.concatenate([magnitudes[:, :, :1], magnitudes[:, :, mirrored.stop :]], 2).reshape(n, -1)
    largest = sort_rows(xp.concatenate([pairs, pairs, singles], 1))[:, -TOP:]
    return xp.asarray(xp.flip(largest, (1,)), dtype=xp.float64)


def _largest(magnitudes: Array, count: int) -> Array:
    """Return each row's ``count`` largest values, float32 [n, count]; zeros when there are fewer."""
    xp, (n, size) = namespace_of(magnitudes), magnitudes.shape
    largest = xp.zeros((n, count), dtype=xp.float32, device=magnitudes.device)
    if size:
        left = xp.asarray(magnitudes, copy=True).reshape(-1)
        first = xp.arange(0, n * size, size, device=magnitudes.device)
        for i in range(count):
            position = first + left.reshape(n, size).argmax(axis=1)
            largest[:, i] = left.take(position)
            left[position] = 0
    return largest


def _mean_and_std(magnitudes: Array, cols: int) -> tuple[Array, Array]:
    """Return mean and standard deviation (divisor n) over the full spectrum, float64 [n] each."""
    xp, rows = namespace_of(magnitudes), magnitudes.shape[1]
    times = xp.ones(magnitudes.shape[1:], dtype=xp.float32, device=magnitudes.device)
    times[:, _mirrored_columns(cols)] = 2
    times = times.reshape(-1)
    flat = magnitudes.reshape(len(magnitudes), -1)
    mean = xp.asarray(xp.linalg.vecdot(flat, times), dtype=xp.float64) / (rows * cols)
    deviations = flat - xp.asarray(mean, dtype=xp.float32)[:, None]
    squares = xp.linalg.vecdot(deviations * deviations, times)
    return mean, xp.sqrt(xp.asarray(squares, dtype=xp.float64) / (rows * cols))
