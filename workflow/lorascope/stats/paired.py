"""Paired comparison of two cells on the same test adapters: the drop, its intervals, its test.

Inputs count right answers in whole numbers: ``hits[i]`` of ``trials`` (seeds, or seeds × representations)
name the class of test adapter i. Whole numbers keep the test exact.
"""

from dataclasses import dataclass

import numpy as np
from scipy import signal, stats

from lorascope.stats.intervals import CONFIDENCE, SPARSE_UNITS, Interval, bootstrap_interval

UNDEFINED = Interval(None, None, "undefined")


@dataclass(frozen=True)
class Drop:
    """How much accuracy is lost from a reference to another cell; fractions, negative for a gain."""

    reference_accuracy: float
    accuracy: float
    absolute: float
    absolute_interval: Interval
    relative: float | None
    relative_interval: Interval
    p: float
    h: float
    dz: float | None


def paired_drop(reference: np.ndarray, other: np.ndarray, trials: int, units: np.ndarray) -> Drop:
    """Compare two cells adapter by adapter.

    Args:
        reference, other: (adapters,) whole numbers of right answers out of ``trials``.
        trials: answers given for every adapter, the same in both.
        units: (adapters,) number of the unit that an adapter belongs to; units are independent of each other.

    Returns:
        The drop. Intervals resample units (adjusted Wald of Agresti & Min 2005 where fewer than
        ``SPARSE_UNITS`` units differ); the relative drop is undefined where the reference is never right.
    """
    reference_hits, other_hits, sizes = (np.bincount(units, weights) for weights in (reference, other, None))
    answers = sizes * trials
    before, after = (float(hits.sum() / answers.sum()) for hits in (reference_hits, other_hits))
    absolute = _absolute_interval(reference_hits, other_hits, answers)
    relative = (before - after) / before if before > 0 else None
    return Drop(
        reference_accuracy=before,
        accuracy=after,
        absolute=before - after,
        absolute_interval=absolute,
        relative=relative,
        relative_interval=_relative_interval(reference_hits, other_hits, before, absolute),
        p=sign_flip_p((reference_hits - other_hits).astype(np.int64)),
        h=cohen_h(before, after),
        dz=cohen_dz(reference_hits - other_hits, answers),
    )


@dataclass(frozen=True)
class Difference:
    """How much more accurate one cell is than another on the same adapters; fractions."""

    accuracy: float
    other_accuracy: float
    difference: float
    interval: Interval
    p: float
    h: float
    dz: float | None


def paired_difference(first: np.ndarray, second: np.ndarray, trials: int, units: np.ndarray) -> Difference:
    """Compare two cells adapter by adapter, without resampling: there are many pairs of cells.

    Args, units: as for :func:`paired_drop`. The interval is the adjusted Wald one of Agresti & Min (2005).
    """
    first_hits, second_hits, sizes = (np.bincount(units, weights) for weights in (first, second, None))
    answers = sizes * trials
    shares = [float(hits.sum() / answers.sum()) for hits in (first_hits, second_hits)]
    surplus = first_hits - second_hits
    return Difference(
        *shares,
        difference=shares[0] - shares[1],
        interval=_adjusted_wald(surplus / answers.mean()),
        p=sign_flip_p(surplus.astype(np.int64)),
        h=cohen_h(*shares),
        dz=cohen_dz(surplus, answers),
    )


def cohen_dz(surplus: np.ndarray, answers: np.ndarray) -> float | None:
    """Cohen's (1988) d_z: mean over standard deviation of the units' differences; None if these are equal."""
    shares = surplus / answers
    spread = float(np.std(shares, ddof=1)) if len(shares) > 1 else 0.0
    return float(np.mean(shares)) / spread if spread > 0 else None


def sign_flip_p(differences: np.ndarray) -> float:
    """Exact two-sided p of the randomisation test (Fisher 1935) that flips the sign of each difference.

    Args:
        differences: (units,) integers.

    The null distribution of the sum of the positive ones is built by convolution (Pagano & Tritchler 1983):
    nothing is drawn. With one seed and one adapter a unit this is the exact McNemar test.
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    null = np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        steps = np.zeros(size * count + 1)
        steps[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        null = signal.convolve(null, steps)
    total = len(null) - 1
    positive = int(differences[differences > 0].sum())
    extreme = np.abs(2 * np.arange(total + 1) - total) >= abs(2 * positive - total)
    # The floor keeps the rounding of a fast convolution from claiming what flips of so few units cannot show.
    floor = min(1.0, 2.0 ** (1 - int(counts.sum())))
    return float(np.clip(null[extreme].sum(), floor, 1.0))


def cohen_h(first: float, second: float) -> float:
    """Cohen's (1988) h, the effect size of two shares: 0.2 small, 0.5 medium, 0.8 large; signed."""
    return float(2 * (np.arcsin(np.sqrt(first)) - np.arcsin(np.sqrt(second))))


def holm(p_values: list[float]) -> list[float]:
    """Holm's (1979) step-down correction: adjusted p-values that hold for the whole family at once."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()


def _absolute_interval(reference: np.ndarray, other: np.ndarray, answers: np.ndarray) -> Interval:
    if np.count_nonzero(reference - other) < SPARSE_UNITS:
        return _adjusted_wald((reference - other) / answers.mean())
    return bootstrap_interval((reference, other, answers), _difference)


def _relative_interval(
    reference: np.ndarray, other: np.ndarray, accuracy: float, absolute: Interval
) -> Interval:
    if accuracy == 0:
        return UNDEFINED
    if absolute.method == "bootstrap":
        return bootstrap_interval((reference, other), _relative_difference)
    # Nearly no unit differs: the noise of the denominator is negligible beside that of the difference.
    return Interval(absolute.low / accuracy, absolute.high / accuracy, absolute.method)


def _adjusted_wald(differences: np.ndarray) -> Interval:
    """Wald's interval after two pseudo-units, half of one each way: never of no width."""
    units = len(differences) + 2
    mean = differences.sum() / units
    variance = ((differences**2).sum() + 1) / units - mean**2
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(variance / units)
    return Interval(float(max(-1.0, mean - half)), float(min(1.0, mean + half)), "adjusted-wald")


def _difference(reference: np.ndarray, other: np.ndarray, answers: np.ndarray, axis: int) -> np.ndarray:
    return (reference.sum(axis=axis) - other.sum(axis=axis)) / answers.sum(axis=axis)


def _relative_difference(reference: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
    before = reference.sum(axis=axis)
    return (before - other.sum(axis=axis)) / before
