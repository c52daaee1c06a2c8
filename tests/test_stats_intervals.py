import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lorascope.stats import intervals
from lorascope.stats.intervals import (
    SPARSE_UNITS,
    accuracy_interval,
    bootstrap_interval,
    seeds_interval,
    wilson_interval,
)

ONES = np.ones


@pytest.fixture
def few_resamples(monkeypatch):
    """Coverage takes hundreds of intervals: each from fewer resamples, which only makes it less sure."""
    monkeypatch.setattr(intervals, "RESAMPLES", 999)


def test_seeds_interval_is_students():
    values = np.array([0.39, 0.42, 0.40, 0.44, 0.37])
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert seeds_interval(values)[:2] == pytest.approx((low, high))


def test_one_seed_has_no_interval_and_equal_seeds_one_of_no_width():
    assert seeds_interval(np.array([0.4]))[:2] == (None, None)
    assert seeds_interval(np.array([0.4, 0.4]))[:2] == (0.4, 0.4)


@given(st.integers(1, 500), st.data())
@settings(deadline=None, max_examples=50)
def test_wilson_is_scipys_for_whole_counts(units, data):
    right = data.draw(st.integers(0, units))
    reference = stats.binomtest(right, units).proportion_ci(0.95, method="wilson")
    interval = wilson_interval(right / units, units)
    assert interval[:2] == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_published_intervals_of_the_thousand_adapter_set():
    assert wilson_interval(0.41, 201)[:2] == pytest.approx((0.344, 0.479), abs=1e-3)
    assert wilson_interval(0.315, 201)[:2] == pytest.approx((0.255, 0.382), abs=1e-3)


def test_bootstrap_agrees_with_theory_and_with_plain_resampling():
    rng = np.random.default_rng(0)
    correct = rng.binomial(5, 0.4, 400) / 5
    interval = accuracy_interval(correct, ONES(400))
    theory = stats.t.interval(0.95, 399, loc=correct.mean(), scale=stats.sem(correct))
    weights = rng.multinomial(400, np.full(400, 1 / 400), size=20000)
    plain = np.percentile(weights @ correct / 400, [2.5, 97.5])
    assert interval.method == "bootstrap"
    assert interval[:2] == pytest.approx(theory, abs=2e-3)
    assert interval[:2] == pytest.approx(tuple(plain), abs=2e-3)


def test_few_wrong_answers_are_left_to_wilson():
    correct = np.r_[ONES(100), np.zeros(SPARSE_UNITS - 1)]
    assert accuracy_interval(correct, ONES(len(correct))).method == "wilson"
    correct = np.r_[ONES(100), np.zeros(SPARSE_UNITS)]
    assert accuracy_interval(correct, ONES(len(correct))).method == "bootstrap"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_perfect_score_of_few_adapters_leaves_doubt(share):
    interval = accuracy_interval(np.full(20, share), ONES(20))
    assert interval.high - interval.low > 0.1
    assert interval.low <= share <= interval.high


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80))
@settings(deadline=None, max_examples=50)
def test_interval_holds_the_accuracy_and_stays_a_share(hits):
    correct = np.array(hits) / 4
    interval = accuracy_interval(correct, ONES(len(hits)))
    assert 0 <= interval.low <= correct.mean() + 1e-12
    assert correct.mean() - 1e-12 <= interval.high <= 1


@pytest.mark.parametrize(
    ("units", "accuracy", "seeds"), [(200, 0.4, 3), (200, 0.1, 1), (30, 0.5, 3), (25, 0.9, 3), (200, 0.97, 3)]
)
@pytest.mark.usefixtures("few_resamples")
def test_coverage(units, accuracy, seeds):
    """Of 200 drawn test sets 95 % have an interval that holds the truth; 91 % is 2.6 deviations less."""
    rng = np.random.default_rng(1)
    easiness = rng.beta(accuracy, 1 - accuracy, (200, units))
    drawn = rng.binomial(seeds, easiness) / seeds
    found = [accuracy_interval(correct, ONES(units)) for correct in drawn]
    assert np.mean([low <= accuracy <= high for low, high, _ in found]) >= 0.91


@pytest.mark.usefixtures("few_resamples")
def test_related_adapters_are_resampled_together():
    """Groups that are right or wrong as one: counted as single adapters they would promise far too much."""
    rng = np.random.default_rng(2)
    sizes = ONES(40) * 10
    drawn = [rng.binomial(1, 0.5, 40) * sizes for _ in range(100)]
    grouped = [accuracy_interval(correct, sizes) for correct in drawn]
    apart = [accuracy_interval(np.repeat(correct / 10, 10), ONES(400)) for correct in drawn]
    assert np.mean([low <= 0.5 <= high for low, high, _ in grouped]) >= 0.88
    assert np.mean([low <= 0.5 <= high for low, high, _ in apart]) <= 0.6


def test_same_data_same_interval():
    correct = np.random.default_rng(3).random(60)
    assert accuracy_interval(correct, ONES(60)) == accuracy_interval(correct, ONES(60))


def test_a_ratio_without_a_value_is_undefined_not_nan():
    reference = np.r_[1.0, np.zeros(9)]
    interval = bootstrap_interval((reference,), lambda x, axis: 1 / x.sum(axis=axis))
    assert interval == (None, None, "undefined")
