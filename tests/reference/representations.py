"""The representations of one matrix from their definitions: float64, numpy and scipy, no care for speed."""

import numpy as np
from scipy import stats

ROUNDING = 2.0**-24
LARGEST = np.finfo(np.float32).max


def or_zero(numerator, denominator):
    return numerator / denominator if denominator != 0 else 0.0


def std(matrix):
    return np.std(matrix, ddof=1) if matrix.size > 1 else 0.0


def skewness(matrix):
    return stats.skew(matrix, axis=None) if np.ptp(matrix) > 0 else 0.0


def kurtosis(matrix):
    return stats.kurtosis(matrix, axis=None, fisher=False) if np.ptp(matrix) > 0 else 0.0


def singular_values(matrix):
    values = np.linalg.svd(matrix, compute_uv=False)
    return np.where(values > ROUNDING * np.linalg.norm(matrix), values, 0.0)


def simple_stats(matrix):
    return [np.linalg.norm(matrix), matrix.mean(), std(matrix), matrix.max(), matrix.min()]


def rank_based(matrix):
    values = [np.percentile(matrix, percent) for percent in (1, 5, 10, 25, 50, 75, 90, 95, 99)]
    return [*values, stats.iqr(matrix), stats.iqr(matrix, rng=(1, 99))]


def stats_(matrix):
    order = [np.median(matrix), matrix.min(), matrix.max()]
    return [matrix.mean(), std(matrix), *order, skewness(matrix), kurtosis(matrix)]


def spectral(matrix):
    values = singular_values(matrix)
    ten = np.zeros(10)
    ten[: len(values)] = values[:10]
    shares = [or_zero(value, ten.sum()) for value in ten]
    gaps = [or_zero(ten[i] - ten[i + 1], ten[i]) for i in range(9)]
    positive = values[values > 0]
    entropy = stats.entropy(positive) if len(positive) else 0.0
    condition = positive[0] / positive[-1] if len(positive) else 0.0
    return [*ten, *shares, *gaps, entropy, condition, values.sum()]


def matrix_norms(matrix):
    frobenius = np.linalg.norm(matrix, "fro")
    nuclear, spectral_norm = np.linalg.norm(matrix, "nuc"), np.linalg.norm(matrix, 2)
    sums = [np.linalg.norm(matrix, 1), np.linalg.norm(matrix, np.inf)]
    ratios = [or_zero(nuclear, frobenius), or_zero(spectral_norm, frobenius)]
    return [frobenius, nuclear, spectral_norm, *sums, *ratios]


def distribution(matrix):
    mean = matrix.mean()
    told_from_zero = abs(mean) > ROUNDING * np.sqrt(np.mean(matrix**2))
    return [
        *np.percentile(matrix, [5, 10, 25, 50, 75, 90, 95]),
        stats.iqr(matrix),
        np.mean(np.abs(matrix - mean)),
        std(matrix) / abs(mean) if told_from_zero else 0.0,
        skewness(matrix),
        kurtosis(matrix),
    ]


def frequency(matrix):
    magnitudes = np.sort(np.abs(np.fft.fft2(matrix)), axis=None)[::-1]
    ten = np.zeros(10)
    ten[: len(magnitudes)] = magnitudes[:10]
    share = or_zero(np.sum(ten**2), np.sum(magnitudes**2))
    return [*ten, magnitudes.mean(), np.std(magnitudes), magnitudes.max(), share]


def info_theoretic(matrix):
    # numpy.histogram has no bins for a constant beyond 1e15 or so, where ± 0.5 is lost.
    counts = np.histogram(matrix, bins=50)[0] if np.ptp(matrix) > 0 else [matrix.size]
    entropy = stats.entropy(counts)
    return [entropy, entropy / np.log(50)]


REFERENCES = {
    "simple_stats": simple_stats,
    "rank_based": rank_based,
    "stats": stats_,
    "spectral": spectral,
    "matrix_norms": matrix_norms,
    "distribution": distribution,
    "frequency": frequency,
    "info_theoretic": info_theoretic,
}


def reference(name, values):
    """Return the features of float32 [n, rows, cols] as float64 [n, features] within float32's range."""
    features = np.array([REFERENCES[name](matrix) for matrix in values.astype(np.float64)])
    return np.clip(features, -LARGEST, LARGEST)
