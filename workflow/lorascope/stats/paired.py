"""Paired comparison of two cells on the same test adapters: the drop, its intervals, its test.

Inputs count right answers in whole numbers: ``hits[i]`` of ``trials`` (seeds, or seeds × representations)
name the class of test adapter i. Whole numbers keep the test exact.

Intervals rest on the residuals of ratios over units (Cochran 1977, 6.4), because units differ in size, each
as large as its unit's leverage asks (McCaffrey & Bell 2002), and on pseudo-units (Agresti & Min 2005), as few
may differ: half of a unit of average size for each of the four answers that a pair can give.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import signal, stats

from lorascope.stats.intervals import CONFIDENCE, Interval, unit_quantile

UNDEFINED = Interval(None, None, "undefined")
# Right answers of a pseudo-unit: by the first only, by the second only, by both, by neither.
PSEUDO_UNITS = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
PSEUDO_WEIGHT = 0.5
# So many units that differ wholly stand beside those seen when the size of a typical difference is asked.
WHOLE_DIFFERENCES = 4


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

    Args, and all but the relative drop: as for :func:`paired_difference`. The relative drop's interval is
    Fieller's (1954) on the same residuals, so that both hold 0 or neither does; it is undefined where the
    reference is never right, or so rarely that its accuracy cannot be told from 0.
    """
    pair = _Pair.of(reference, other, trials, units)
    compared = _difference(pair, reference, other, trials, units)
    before = compared.accuracy
    return Drop(
        reference_accuracy=before,
        accuracy=compared.other_accuracy,
        absolute=compared.difference,
        absolute_interval=compared.interval,
        relative=compared.difference / before if before > 0 else None,
        relative_interval=_relative_interval(pair),
        p=compared.p,
        h=compared.h,
        dz=compared.dz,
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
    """Compare two cells adapter by adapter.

    Args:
        first, second: (adapters,) whole numbers of right answers out of ``trials``.
        trials: answers given for every adapter, the same in both.
        units: (adapters,) number of the unit that an adapter belongs to; units are independent of each other.

    Returns:
        The difference first − second with its adjusted Wald interval and the sign-flip test over units. Where
        fewer than about four units differ the interval errs on the wide side.
    """
    return _difference(_Pair.of(first, second, trials, units), first, second, trials, units)


def difference_ends(
    first: np.ndarray, second: np.ndarray, sizes: np.ndarray, confidence: float = CONFIDENCE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends (…,) of the intervals of :func:`paired_difference`, of many comparisons at once.

    Args:
        first, second: (…, units) right answers of each unit; leading axes are comparisons.
        sizes: (units,) adapters in each unit.
    """
    return _Pair(first, second, sizes).difference_ends(confidence)


def relative_drop_ends(
    reference: np.ndarray, other: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends (…,) of the relative drop's intervals of :func:`paired_drop`, NaN where undefined.

    Args: as for :func:`difference_ends`.
    """
    return _Pair(reference, other, sizes).loss_ends()


def _difference(pair: "_Pair", first, second, trials: int, units: np.ndarray) -> Difference:
    shares = [float(hits.sum() / (len(hits) * trials)) for hits in (first, second)]
    surplus = np.bincount(units, first) - np.bincount(units, second)
    low, high = pair.difference_ends()
    return Difference(
        *shares,
        difference=shares[0] - shares[1],
        interval=Interval(float(low), float(high), "adjusted-wald"),
        p=sign_flip_p(surplus.astype(np.int64)),
        h=cohen_h(*shares),
        dz=cohen_dz(surplus, np.bincount(units) * trials),
    )


def _relative_interval(pair: "_Pair") -> Interval:
    low, high = map(float, pair.loss_ends())
    return UNDEFINED if np.isnan(low) or not pair.first.any() else Interval(low, high, "fieller")


@dataclass(frozen=True)
class _Pair:
    """Two cells over units; leading axes of the hits are comparisons that are made at once.

    Attributes:
        first, second: (…, units) right answers of a unit, averaged over trials.
        sizes: (units,) adapters of a unit.
    """

    first: np.ndarray
    second: np.ndarray
    sizes: np.ndarray

    @staticmethod
    def of(first: np.ndarray, second: np.ndarray, trials: int, units: np.ndarray) -> "_Pair":
        hits = (np.bincount(units, of_adapters) / trials for of_adapters in (first, second))
        return _Pair(*hits, np.bincount(units).astype(np.float64))

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Both accuracies [2, …] and the covariance of their errors [2, 2, …], pseudo-units included."""
        average = self.sizes.mean()
        sizes = np.append(self.sizes, np.full(len(PSEUDO_UNITS), average))
        weights = np.append(np.ones(len(self.sizes)), np.full(len(PSEUDO_UNITS), PSEUDO_WEIGHT))
        pseudo = average * self._typical_difference()[..., None] * PSEUDO_UNITS.T[:, None]
        hits = np.stack(np.broadcast_arrays(self.first, self.second)).reshape(2, -1, len(self.sizes))
        hits = np.concatenate([hits, pseudo.reshape(2, -1, len(PSEUDO_UNITS))], axis=-1)
        total = weights @ sizes
        accuracies = hits @ weights / total
        residuals = hits - accuracies[..., None] * sizes
        weighted = residuals * weights / (1 - sizes / total) / total**2
        covariance = np.einsum("acu,bcu->abc", weighted, residuals)
        shape = np.broadcast_shapes(self.first.shape, self.second.shape)[:-1]
        return accuracies.reshape(2, *shape), covariance.reshape(2, 2, *shape)

    def _typical_difference(self) -> np.ndarray:
        """Root mean square of the units' differences that are not 0, (…,); 1 where there are none.

        Seeds make differences small: a pseudo-unit as large as one seed's would be the largest of all.
        """
        differences = (self.first - self.second) / self.sizes
        seen = np.count_nonzero(differences, axis=-1)
        return np.sqrt((WHOLE_DIFFERENCES + (differences**2).sum(axis=-1)) / (WHOLE_DIFFERENCES + seen))

    def difference_ends(self, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
        """Ends (…,) of the adjusted Wald interval of first − second, in [−1, 1]."""
        (first, second), ((own, both), (_, others)) = self.moments
        half = unit_quantile(self.sizes, confidence) * np.sqrt(np.maximum(own + others - 2 * both, 0.0))
        return np.maximum(-1.0, first - second - half), np.minimum(1.0, first - second + half)

    def loss_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends (…,) of Fieller's interval of 1 − second / first, never above 1; NaN where undefined."""
        (first, second), ((own, both), (_, others)) = self.moments
        square = unit_quantile(self.sizes) ** 2
        # The ratios r for which second − r · first may be 0 lie between the roots of a parabola.
        a, b, c = first**2 - square * own, first * second - square * both, second**2 - square * others
        a = np.where(a > 0, a, np.nan)
        half = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        return 1 - (b + half) / a, np.minimum(1.0, 1 - (b - half) / a)


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
