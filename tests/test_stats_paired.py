import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lorascope.stats.paired import difference_ends, holm, paired_difference, paired_drop, sign_flip_p


def drawn_pair(rng, adapters, lost, gained, seeds=1):
    """Right answers of two cells that differ for a share ``lost`` one way and ``gained`` the other way."""
    draw = rng.random(adapters)
    both = rng.random(adapters) < 0.4
    reference = np.where(draw < lost, 1, np.where(draw < lost + gained, 0, both))
    other = np.where(draw < lost, 0, np.where(draw < lost + gained, 1, both))
    return reference * seeds, other * seeds


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
@settings(deadline=None, max_examples=100)
def test_sign_flip_is_the_share_of_all_flips(differences):
    flips = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    sums = np.abs(flips @ np.abs(differences))
    expected = np.mean(sums >= abs(sum(differences)))
    assert sign_flip_p(np.array(differences)) == pytest.approx(expected, abs=1e-12)


def test_sign_flip_agrees_with_scipys_resampling():
    differences = np.random.default_rng(0).integers(-3, 5, 80)
    drawn = stats.permutation_test(
        (differences,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20000,
        rng=np.random.default_rng(1),
    )
    assert sign_flip_p(differences) == pytest.approx(drawn.pvalue, abs=0.01)


@given(st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None, max_examples=50)
def test_with_one_seed_it_is_the_exact_mcnemar_test(lost, gained):
    differences = np.r_[np.ones(lost, int), -np.ones(gained, int), np.zeros(20, int)]
    expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert sign_flip_p(differences) == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_sign_flip_copes_with_the_largest_data_sets():
    differences = np.random.default_rng(0).integers(-10, 11, 20_000)
    normal = 2 * stats.norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum()))
    assert sign_flip_p(differences) == pytest.approx(normal, abs=1e-3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferronis(p_values):
    """A hypothesis is rejected when Bonferroni's test rejects every set of hypotheses that holds it."""
    indices = range(len(p_values))
    subsets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(indices, size)]
    bonferroni = {subset: min(1.0, len(subset) * min(p_values[i] for i in subset)) for subset in subsets}
    expected = [max(p for subset, p in bonferroni.items() if index in subset) for index in indices]
    assert holm(p_values) == pytest.approx(expected)


def test_holm_of_nothing():
    assert holm([]) == []


def test_drop_counts_every_seed_and_adapter_once():
    rng = np.random.default_rng(0)
    before, after = rng.random((2, 3, 120)) < np.array([0.6, 0.4])[:, None, None]
    drop = paired_drop(before.sum(axis=0), after.sum(axis=0), 3, np.arange(120))
    assert drop.reference_accuracy == pytest.approx(before.mean())
    assert drop.accuracy == pytest.approx(after.mean())
    assert drop.absolute == pytest.approx(before.mean() - after.mean())
    assert drop.relative == pytest.approx(1 - after.mean() / before.mean())
    assert drop.absolute_interval.low < drop.absolute < drop.absolute_interval.high
    assert drop.relative_interval.low < drop.relative < drop.relative_interval.high


def test_drop_interval_is_that_of_the_mean_difference():
    reference, other = drawn_pair(np.random.default_rng(1), 400, 0.2, 0.1)
    drop = paired_drop(reference, other, 1, np.arange(400))
    difference = reference - other
    theory = stats.t.interval(0.95, 399, loc=difference.mean(), scale=stats.sem(difference))
    assert drop.absolute_interval[:2] == pytest.approx(theory, abs=4e-3)


def test_swapping_the_sides_turns_the_drop_around():
    reference, other = drawn_pair(np.random.default_rng(2), 150, 0.25, 0.1)
    forth, back = (paired_drop(*pair, 1, np.arange(150)) for pair in ((reference, other), (other, reference)))
    assert back.absolute == pytest.approx(-forth.absolute)
    assert back.p == pytest.approx(forth.p)
    low, high, _ = forth.absolute_interval
    assert back.absolute_interval[:2] == pytest.approx((-high, -low), abs=5e-3)


def test_equal_answers_are_no_drop_but_no_certainty_either():
    hits = np.r_[np.ones(20, int), np.zeros(20, int)]
    drop = paired_drop(hits, hits, 1, np.arange(40))
    assert (drop.absolute, drop.p) == (0.0, 1.0)
    assert drop.absolute_interval.low < -0.02 < 0.02 < drop.absolute_interval.high
    assert drop.relative_interval.low < -0.02


def test_relative_drop_of_nothing_is_undefined():
    drop = paired_drop(np.zeros(30, int), np.ones(30, int), 1, np.arange(30))
    assert drop.relative is None
    assert drop.relative_interval[:2] == (None, None)
    assert drop.absolute == -1.0


def test_units_make_the_test_more_careful():
    reference, other = (np.repeat(hits, 10) for hits in drawn_pair(np.random.default_rng(3), 30, 0.4, 0.1))
    apart = paired_drop(reference, other, 1, np.arange(300))
    together = paired_drop(reference, other, 1, np.repeat(np.arange(30), 10))
    assert together.absolute == pytest.approx(apart.absolute)
    assert together.p > apart.p
    width = [drop.absolute_interval.high - drop.absolute_interval.low for drop in (together, apart)]
    assert width[0] > 2 * width[1]


@pytest.mark.parametrize(("lost", "gained"), [(5, 2), (0, 0), (30, 12)])
def test_with_one_seed_it_is_the_interval_of_agresti_and_min(lost, gained):
    """Their (2005) adjusted Wald interval: half of a pair added to each of the four counts."""
    differences = np.r_[np.ones(lost), -np.ones(gained), np.zeros(80 - lost - gained)]
    n = 82
    mean = differences.sum() / n
    variance = (lost + gained + 1) / n - mean**2
    half = stats.norm.ppf(0.975) * np.sqrt(variance / (n - 1))
    hits = (differences > 0).astype(int), (differences < 0).astype(int)
    found = paired_difference(*hits, 1, np.arange(80)).interval
    assert found[:2] == pytest.approx((mean - half, mean + half), rel=1e-3)


def test_unequal_units_have_the_width_of_their_bootstrap():
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 30, 300)
    units = np.repeat(np.arange(300), sizes)
    first, second = (rng.binomial(1, share, len(units)) for share in (0.8, 0.5))
    drop = paired_drop(first, second, 1, units)
    hits = [np.bincount(units, each) for each in (first, second)]
    drawn = rng.integers(300, size=(4000, 300))
    before, after = (each[drawn].sum(axis=1) for each in hits)
    spread = np.std((before - after) / sizes[drawn].sum(axis=1))
    low, high, _ = drop.absolute_interval
    assert (high - low) / 2 == pytest.approx(stats.norm.ppf(0.975) * spread, rel=0.04)
    low, high, _ = drop.relative_interval
    assert (high - low) / 2 == pytest.approx(stats.norm.ppf(0.975) * np.std(1 - after / before), rel=0.04)


PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=40)


@given(PAIRS)
@settings(deadline=None, max_examples=150)
def test_drops_stay_within_bounds_and_both_say_the_same(pairs):
    first, second, units = (np.array(each) for each in zip(*pairs, strict=True))
    drop = paired_drop(first, second, 3, np.unique(units, return_inverse=True)[1])
    low, high, _ = drop.absolute_interval
    assert -1 <= low <= high <= 1
    if drop.relative_interval.low is not None:
        relative_low, relative_high, _ = drop.relative_interval
        assert relative_low <= relative_high <= 1
        assert (relative_low > 1e-9) == (low > 1e-9)
        assert (relative_high < -1e-9) == (high < -1e-9)


def test_many_comparisons_at_once_are_each_by_itself():
    rng = np.random.default_rng(6)
    sizes = rng.integers(1, 5, 30)
    units = np.repeat(np.arange(30), sizes)
    rows = rng.integers(0, 4, (5, len(units)))
    hits = np.array([np.bincount(units, row) for row in rows]) / 3
    low, high = difference_ends(hits, hits[0], sizes)
    for place, row in enumerate(rows):
        interval = paired_difference(row, rows[0], 3, units).interval
        assert (low[place], high[place]) == pytest.approx(interval[:2])
    assert difference_ends(hits, hits[0], sizes, 0.99)[0][1] < low[1]


def by_hand(first, second, sizes):
    """Accuracies and covariance of their errors, unit by unit, half pseudo-units as eight halves of one."""
    units = [(1.0, *each) for each in zip(first, second, sizes, strict=True)]
    shares = [(one - two) / size for _, one, two, size in units]
    differing = [share**2 for share in shares if share != 0]
    typical = np.sqrt((4 + sum(differing)) / (4 + len(differing)))
    average = sum(sizes) / len(sizes)
    for one, two in itertools.product((0, 1), repeat=2):
        units.append((0.5, one * typical * average, two * typical * average, average))
    total = sum(weight * size for weight, _, _, size in units)
    accuracies = [sum(unit[0] * unit[side] for unit in units) / total for side in (1, 2)]
    covariance = np.zeros((2, 2))
    for weight, *right, size in units:
        residuals = [own - accuracy * size for own, accuracy in zip(right, accuracies, strict=True)]
        covariance += weight * np.outer(residuals, residuals) / (1 - size / total) / total**2
    return accuracies, covariance


def test_intervals_by_hand():
    sizes = np.array([1, 3, 2, 5, 2, 1])
    units = np.repeat(np.arange(6), sizes)
    rng = np.random.default_rng(7)
    first, second = rng.binomial(4, 0.9, len(units)), rng.binomial(4, 0.6, len(units))
    drop = paired_drop(first, second, 4, units)
    right = [np.bincount(units, each) / 4 for each in (first, second)]
    (one, two), covariance = by_hand(*right, sizes)
    kish = sizes.sum() ** 2 / (sizes**2).sum()
    quantile = stats.t.ppf(0.975, kish**2 / (6 - kish))
    half = quantile * np.sqrt(np.array([1, -1]) @ covariance @ np.array([1, -1]))
    assert drop.absolute_interval[:2] == pytest.approx((one - two - half, one - two + half))
    # At Fieller's ends the ratio's residual is as far from 0 as its quantile allows.
    for end in drop.relative_interval[:2]:
        weights = np.array([1 - end, -1])
        distance = weights @ (one, two) / np.sqrt(weights @ covariance @ weights)
        assert abs(distance) == pytest.approx(quantile)
