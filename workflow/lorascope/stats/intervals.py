"""Intervals of an accuracy: over the seeds, and over the test adapters. They answer different questions.

The spread over seeds says how much of a result is the luck of one training run. The test-set interval says
how far the accuracy on *other* adapters may lie from that on these few. More seeds narrow the first only.

Every interval stays within the bounds of what it is of. docs/metrics.md holds the measured coverage of each.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

CONFIDENCE = 0.95
# What is drawn at random (permutations) starts from the same stream: a result depends on its data alone.
RESAMPLING_SEED = 42
BATCH_VALUES = 2_000_000
# Of a value that is rounded to a grid of step 1 (Sheppard 1898).
ROUNDING_VARIANCE = 1 / 12


class Interval(NamedTuple):
    """An interval and the name of the method that gave it; both ends None when undefined."""

    low: float | None
    high: float | None
    method: str


def seeds_interval(values: np.ndarray, answers: int) -> Interval:
    """Interval of a mean share over seeds; undefined for fewer than two seeds.

    Args:
        values: (seeds,) shares.
        answers: how many answers each share is of: seeds that agree by luck differ by less than one of them.

    Returns:
        Wilson's (1927) score interval with Student's t and the number of answers that a share of this
        variance between seeds would be of: the t-interval, bent into [0, 1].
    """
    if len(values) < 2:
        return Interval(None, None, "t")
    mean, variance = float(np.mean(values)), _mean_variance(values, answers)
    # A mean of 0 or 1 has no variance to compare with; half an answer from there it has.
    inner = np.clip(mean, 0.5 / answers, 1 - 0.5 / answers)
    quantile = student_quantile(len(values) - 1)
    return score_interval(mean, inner * (1 - inner) / variance, quantile, "t")


def seeds_difference_interval(values: np.ndarray, answers: int, confidence: float = CONFIDENCE) -> Interval:
    """Student's t-interval of the mean difference of two shares over seeds, in [−1, 1].

    Args:
        values: (seeds,) differences.
        answers: how many answers each share is of.
    """
    if len(values) < 2:
        return Interval(None, None, "t")
    mean, quantile = float(np.mean(values)), student_quantile(len(values) - 1, confidence)
    half = quantile * np.sqrt(_mean_variance(values, answers))
    return Interval(float(max(-1.0, mean - half)), float(min(1.0, mean + half)), "t")


def seeds_ratio_interval(ratios: np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Student's t-interval of a ratio over seeds, on the logarithm, about the geometric mean; never below 0.

    Undefined for fewer than two seeds, or where a ratio is not positive.
    """
    if len(ratios) < 2 or np.min(ratios) <= 0:
        return Interval(None, None, "log-t")
    logarithms = np.log(ratios)
    spread = np.std(logarithms, ddof=1) / np.sqrt(len(ratios))
    half = student_quantile(len(ratios) - 1, confidence) * spread
    return Interval(*np.exp(logarithms.mean() + np.array([-half, half])).tolist(), "log-t")


def accuracy_interval(correct: np.ndarray, sizes: np.ndarray) -> Interval:
    """Test-set interval of an accuracy.

    Args:
        correct: (units,) right answers of each unit (an adapter, or a group), averaged over seeds.
        sizes: (units,) adapters in each unit.

    Returns:
        Wilson's (1927) score interval with the effective number of units (Korn & Graubard 1998; Dean &
        Pagano 2015): as many as would make a share of yes-or-no units vary as this one does. The variance is
        that of the ratio's residuals (Cochran 1977, 6.4; with the leverage of McCaffrey & Bell 2002: a large
        unit draws the share to itself), with one unit all right and one all wrong added, without which few
        units or few wrong answers would show no variance at all.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    average = sizes.mean()
    whole, right = np.append(sizes, [average, average]), np.append(correct, [average, 0.0])
    share = right.sum() / whole.sum()
    residuals = right - share * whole
    variance = (residuals**2 / (1 - whole / whole.sum())).sum() / whole.sum() ** 2
    design_effect = variance * kish_units(whole) / (share * (1 - share))
    effective = kish_units(sizes) / design_effect
    return score_interval(float(np.sum(correct) / sizes.sum()), effective, unit_quantile(sizes), "wilson")


def score_interval(share: float, number: float, quantile: float, method: str) -> Interval:
    """Wilson's score interval of a share of ``number`` answers, which need not be a whole count."""
    shrink = 1 + quantile**2 / number
    centre = (share + quantile**2 / (2 * number)) / shrink
    half = quantile * np.sqrt(share * (1 - share) / number + quantile**2 / (4 * number**2)) / shrink
    # Rounding must not put the share itself outside.
    low, high = min(centre - half, share), max(centre + half, share)
    return Interval(float(max(0.0, low)), float(min(1.0, high)), method)


def kish_units(sizes: np.ndarray) -> float:
    """As many units of one size would tell as much as these (Kish 1965), 1 to their number."""
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def unit_quantile(sizes: np.ndarray, confidence: float = CONFIDENCE) -> float:
    """Student's quantile for a share over units: the normal one where they are equal.

    Equal units that are right or wrong have the variance that their share says. The more their sizes differ,
    the more the variance rests on the few largest.
    """
    units, effective = len(sizes), kish_units(sizes)
    surplus = units - effective
    return student_quantile(effective**2 / surplus if surplus > 1e-9 * units else np.inf, confidence)


def student_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Two-sided quantile of Student's t; the normal one for infinitely many degrees of freedom."""
    level = (1 + confidence) / 2
    return float(special.ndtri(level) if np.isinf(degrees) else special.stdtrit(degrees, level))


def _mean_variance(values: np.ndarray, answers: int) -> float:
    """Variance of the mean over seeds of shares of so many answers."""
    return max(float(np.var(values, ddof=1)), ROUNDING_VARIANCE / answers**2) / len(values)
