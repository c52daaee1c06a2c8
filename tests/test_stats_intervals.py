"""Intervals against theory and scipy; tests/test_stats_coverage.py measures how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lorascope.stats.intervals import (
    accuracy_interval,
    kish_units,
    score_interval,
    seeds_difference_interval,
    seeds_interval,
    seeds_ratio_interval,
    unit_quantile,
)

Z = stats.norm.ppf(0.975)


def wilson(share, units):
    return score_interval(share, units, Z, "wilson")


def test_seeds_interval_is_students_where_no_bound_is_near():
    values = np.array([0.39, 0.42, 0.40, 0.44, 0.37])
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert seeds_interval(values, 10_000)[:2] == pytest.approx((low, high), abs=1e-3)
    differences = values - 0.3
    assert seeds_difference_interval(differences, 10_000)[:2] == pytest.approx((low - 0.3, high - 0.3))


def test_seeds_ratio_interval_is_students_of_the_logarithm():
    ratios = np.array([0.5, 0.62, 0.7, 0.45])
    low, high = stats.t.interval(0.9, 3, loc=np.log(ratios).mean(), scale=stats.sem(np.log(ratios)))
    assert seeds_ratio_interval(ratios, 0.9)[:2] == pytest.approx((np.exp(low), np.exp(high)))
    assert seeds_ratio_interval(np.array([0.5, 0.0]))[:2] == (None, None)


def test_one_seed_has_no_interval():
    one = np.array([0.4])
    for interval in (seeds_interval(one, 40), seeds_difference_interval(one, 40), seeds_ratio_interval(one)):
        assert interval[:2] == (None, None)


def test_equal_seeds_may_differ_by_less_than_an_answer():
    """As a rounding of a twelfth of a squared answer: half an answer lies well inside with three seeds."""
    for of, interval in ((0.4, seeds_interval), (0.1, seeds_difference_interval)):
        low, high, _ = interval(np.full(3, of), 40)
        half = stats.t.ppf(0.975, 2) * np.sqrt(1 / 12 / 3) / 40
        assert (low, high) == pytest.approx((of - half, of + half), abs=1e-3)


@given(st.lists(st.integers(0, 20), min_size=2, max_size=10))
@settings(deadline=None, max_examples=100)
def test_intervals_over_seeds_stay_within_bounds(hits):
    values = np.array(hits) / 20
    low, high, _ = seeds_interval(values, 20)
    assert 0 <= low <= values.mean() + 1e-12
    assert values.mean() - 1e-12 <= high <= 1
    low, high, _ = seeds_difference_interval(2 * values - 1, 20)
    assert -1 <= low <= high <= 1
    low, high, _ = seeds_ratio_interval(values + 0.01)
    assert 0 < low <= high


@given(st.integers(1, 500), st.data())
@settings(deadline=None, max_examples=50)
def test_wilson_is_scipys_for_whole_counts(units, data):
    right = data.draw(st.integers(0, units))
    reference = stats.binomtest(right, units).proportion_ci(0.95, method="wilson")
    assert wilson(right / units, units)[:2] == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_published_intervals_of_the_thousand_adapter_set():
    assert wilson(0.41, 201)[:2] == pytest.approx((0.344, 0.479), abs=1e-3)
    assert wilson(0.315, 201)[:2] == pytest.approx((0.255, 0.382), abs=1e-3)


@given(st.integers(1, 300), st.data())
@settings(deadline=None, max_examples=50)
def test_yes_or_no_units_of_one_size_have_wilsons_interval(units, data):
    right = data.draw(st.integers(0, units))
    correct = np.r_[np.ones(right), np.zeros(units - right)]
    # Bessel's correction of n + 2 units, two of them added.
    expected = wilson(right / units, units * (units + 1) / (units + 2))
    assert accuracy_interval(correct, np.ones(units))[:2] == pytest.approx(expected[:2], abs=1e-9)


def test_accuracy_interval_agrees_with_theory():
    correct = np.random.default_rng(0).binomial(5, 0.4, 400) / 5
    theory = stats.t.interval(0.95, 399, loc=correct.mean(), scale=stats.sem(correct))
    assert accuracy_interval(correct, np.ones(400))[:2] == pytest.approx(theory, abs=1e-3)


def test_accuracy_interval_of_unequal_units_is_that_of_the_ratio():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 9, 500)
    correct = rng.binomial(sizes, rng.beta(2, 2, 500))
    share = correct.sum() / sizes.sum()
    drawn = rng.integers(500, size=(4000, 500))
    spread = np.std(correct[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high, method = accuracy_interval(correct, sizes)
    assert (high - low) / 2 == pytest.approx(Z * spread, rel=0.04)
    assert (low + high) / 2 == pytest.approx(share, abs=1e-3)
    assert method == "wilson"


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("units", [1, 2, 20])
def test_a_perfect_score_of_few_adapters_leaves_doubt(share, units):
    interval = accuracy_interval(np.full(units, share), np.ones(units))
    assert interval.high - interval.low > 0.1
    assert interval.low <= share <= interval.high


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6)), min_size=1, max_size=80))
@settings(deadline=None, max_examples=50)
def test_interval_holds_the_accuracy_and_stays_a_share(units):
    shares, sizes = (np.array(each) for each in zip(*units, strict=True))
    correct = shares / 4 * sizes
    accuracy = correct.sum() / sizes.sum()
    interval = accuracy_interval(correct, sizes)
    assert 0 <= interval.low <= accuracy + 1e-12
    assert accuracy - 1e-12 <= interval.high <= 1


@given(st.lists(st.integers(1, 6), min_size=1, max_size=30), st.integers(2, 9))
@settings(deadline=None, max_examples=50)
def test_sizes_in_other_units_change_nothing(sizes, factor):
    sizes = np.array(sizes, float)
    correct = sizes * np.linspace(0, 1, len(sizes))
    expected = accuracy_interval(correct, sizes)[:2]
    assert accuracy_interval(factor * correct, factor * sizes)[:2] == pytest.approx(expected)


def test_related_adapters_count_as_one():
    """Groups that are right or wrong as one: counted as single adapters they would promise far too much."""
    sizes = np.full(40, 10)
    correct = np.random.default_rng(2).binomial(1, 0.5, 40) * sizes
    grouped = accuracy_interval(correct, sizes)
    apart = accuracy_interval(np.repeat(correct / 10, 10), np.ones(400))
    assert grouped.high - grouped.low > 2.8 * (apart.high - apart.low)


def test_unequal_units_count_for_fewer_and_are_less_sure_of_their_variance():
    assert kish_units(np.full(7, 3.0)) == pytest.approx(7)
    assert kish_units(np.array([1.0, 1.0, 8.0])) == pytest.approx(100 / 66)
    assert unit_quantile(np.full(7, 3.0)) == pytest.approx(Z)
    # Four units that tell as much as two, (x + 3)² = 2 (x² + 3): 2² / (4 − 2) degrees of freedom.
    sizes = np.array([3 + 2 * np.sqrt(3), 1.0, 1.0, 1.0])
    assert kish_units(sizes) == pytest.approx(2)
    assert unit_quantile(sizes) == pytest.approx(stats.t.ppf(0.975, 2))
