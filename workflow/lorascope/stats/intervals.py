"""Intervals of an accuracy: over the seeds, and over the test adapters. They answer different questions.

The spread over seeds says how much of a result is the luck of one training run. The test-set interval says
how far the accuracy on *other* adapters may lie from that on these few. More seeds narrow the first only.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 9999
# Every bootstrap starts from the same stream: a cell's interval depends on nothing but the cell.
RESAMPLING_SEED = 42
# Below this many wrong (or right, or differing) units a resampled mean takes too few values to be trusted.
SPARSE_UNITS = 10
BATCH_VALUES = 2_000_000


class Interval(NamedTuple):
    """A 95 % interval and the name of the method that gave it; both ends None when undefined."""

    low: float | None
    high: float | None
    method: str


def seeds_interval(values: np.ndarray) -> Interval:
    """Student's t-interval of the mean over seeds; undefined for fewer than two seeds."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return Interval(None, None, "t")
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return Interval(float(values.mean() - half), float(values.mean() + half), "t")


def accuracy_interval(correct: np.ndarray, sizes: np.ndarray) -> Interval:
    """Test-set interval of an accuracy.

    Args:
        correct: (units,) right answers of each unit (an adapter, or a group), averaged over seeds.
        sizes: (units,) adapters in each unit.

    Returns:
        The bootstrap interval over units; Wilson's where right or wrong answers are too few for it. A share
        in [0, 1] never varies more than a yes-or-no with the same mean, so Wilson's errs on the wide side.
    """
    share = float(correct.sum() / sizes.sum())
    if len(sizes) * min(share, 1 - share) < SPARSE_UNITS:
        return wilson_interval(share, len(sizes))
    return bootstrap_interval((correct, sizes), _ratio)


def wilson_interval(share: float, units: float) -> Interval:
    """Wilson's score interval (Wilson 1927) of a share of ``units``; the share need not be a whole count."""
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    shrink = 1 + z**2 / units
    centre = (share + z**2 / (2 * units)) / shrink
    half = z * np.sqrt(share * (1 - share) / units + z**2 / (4 * units**2)) / shrink
    return Interval(float(max(0.0, centre - half)), float(min(1.0, centre + half)), "wilson")


def bootstrap_interval(samples: tuple[np.ndarray, ...], statistic) -> Interval:
    """Expanded percentile bootstrap (Hesterberg 2015) over the common first axis of ``samples``.

    Args:
        samples: arrays (units,), resampled together.
        statistic: vectorised function of ``samples`` and ``axis``.

    Returns:
        The interval; undefined when some resample has no value (a ratio whose denominator vanished).
    """
    units = len(samples[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        result = stats.bootstrap(
            samples,
            statistic,
            paired=True,
            vectorized=True,
            method="percentile",
            n_resamples=RESAMPLES,
            batch=max(1, BATCH_VALUES // units),
            confidence_level=_expanded_level(units),
            rng=np.random.default_rng(RESAMPLING_SEED),
        )
    if not np.isfinite(result.bootstrap_distribution).all():
        return Interval(None, None, "undefined")
    low, high = result.confidence_interval
    return Interval(float(low), float(high), "bootstrap")


def _expanded_level(units: int) -> float:
    """The level at which percentiles of resampled means are as wide as a t-interval of ``units`` values."""
    t = stats.t.ppf((1 - CONFIDENCE) / 2, units - 1)
    return float(1 - 2 * stats.norm.cdf(t * np.sqrt(units / (units - 1))))


def _ratio(numerator: np.ndarray, denominator: np.ndarray, axis: int) -> np.ndarray:
    return numerator.sum(axis=axis) / denominator.sum(axis=axis)
