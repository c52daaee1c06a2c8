"""Magnitudes of the two-dimensional discrete Fourier transform (DFT)."""

import numpy as np

from lorascope.features.batch import MatrixBatch, ratio
from lorascope.features.columns import as_columns

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


def compute(batch: MatrixBatch) -> np.ndarray:
    """Return the ten largest magnitudes; mean, standard deviation (divisor n), max; energy share of the ten.

    The DFT is unnormalised and covers all rows · cols frequencies: a frequency and its mirror image are two
    magnitudes. Zeros follow where there are fewer than ten. The energy share is Σ top² / Σ all², and 0 for
    a zero matrix. Nothing changes under transposition.

    Returns:
        float32 [n_adapters, 14].
    """
    scale = _scale_to_safe_range(batch.peak)
    magnitudes = _half_spectrum(_long_rows(batch), scale)
    cols = max(batch.values.shape[1:])
    top = _top(magnitudes, cols)
    mean, std = _mean_and_std(magnitudes, cols)
    energy = batch.size * (std**2 + mean**2)
    share = np.minimum(ratio(np.vecdot(top, top), energy), 1)
    return as_columns(top / scale[:, None], mean / scale, std / scale, top[:, 0] / scale, share)


def _scale_to_safe_range(peak: np.ndarray) -> np.ndarray:
    """Return factors, float64 [n]: 1 for ordinary matrices, else the power of two that makes peak ≈ 1."""
    lowest, highest = _SAFE_PEAK
    ordinary = (peak == 0) | ((peak >= lowest) & (peak <= highest))
    _, exponent = np.frexp(peak)
    return np.where(ordinary, 1.0, np.ldexp(1.0, -exponent))


def _long_rows(batch: MatrixBatch) -> np.ndarray:
    """Return the matrices with the longer side last, float64 [n, short, long]."""
    _, rows, cols = batch.values.shape
    values = batch.double.reshape(batch.values.shape)
    return np.ascontiguousarray(values if rows <= cols else values.swapaxes(1, 2))


def _half_spectrum(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return scale · |DFT| at columns 0 … cols // 2, float32 [n, rows, cols // 2 + 1]; others mirror them."""
    rows = values.shape[1]
    # Of all this the transform alone is as fast in float64, so float32 starts after it.
    spectrum = np.fft.rfft(values, axis=2)
    if (scale != 1).any():
        spectrum *= scale[:, None, None]
    spectrum = spectrum.astype(np.complex64)
    if 1 < rows <= _DFT_MATRIX_LIMIT:
        spectrum = np.fft.fft(np.eye(rows)).astype(np.complex64) @ spectrum
    elif rows > 1:
        spectrum = np.fft.fft(spectrum, axis=1)
    return np.abs(spectrum)


def _mirrored_columns(cols: int) -> slice:
    """Return which columns of the half spectrum have a mirror image outside of it: all but 0 and cols / 2."""
    return slice(1, (cols + 1) // 2)


def _top(magnitudes: np.ndarray, cols: int) -> np.ndarray:
    """Return the ten largest magnitudes of the full spectrum in descending order, float64 [n, 10]."""
    n, mirrored = len(magnitudes), _mirrored_columns(cols)
    pairs = _largest(magnitudes[:, :, mirrored].reshape(n, -1), TOP // 2)
    singles = np.delete(magnitudes, mirrored, axis=2).reshape(n, -1)
    candidates = np.concatenate([pairs, pairs, singles], axis=1)
    return np.sort(candidates, axis=1)[:, : -TOP - 1 : -1].astype(np.float64)


def _largest(magnitudes: np.ndarray, count: int) -> np.ndarray:
    """Return each row's ``count`` largest values, float32 [n, count]; zeros when there are fewer."""
    n, size = magnitudes.shape
    largest = np.zeros((n, count), np.float32)
    if size:
        left = magnitudes.flatten()
        first = np.arange(0, n * size, size)
        for i in range(count):
            position = first + left.reshape(n, size).argmax(axis=1)
            largest[:, i] = left.take(position)
            left[position] = 0
    return largest


def _mean_and_std(magnitudes: np.ndarray, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (divisor n) over the full spectrum, float64 [n] each."""
    times = np.ones(magnitudes.shape[1:], np.float32)
    times[:, _mirrored_columns(cols)] = 2
    times = times.reshape(-1)
    flat = magnitudes.reshape(len(magnitudes), -1)
    size = times.sum(dtype=np.float64)
    mean = np.vecdot(flat, times) / size
    deviations = flat - mean.astype(np.float32)[:, None]
    variance = np.vecdot(deviations * deviations, times) / size
    return mean, np.sqrt(variance)
