"""Conformal sets: exact thresholds, groups, and the coverage that a choice among many cells leaves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorascope.stats.conformal import conformal_sets, conformal_threshold

COVERAGE, CLASSES = 0.9, 10


@given(st.integers(9, 200), st.floats(0.5, 0.9), st.integers(0, 2**16))
def test_without_groups_the_threshold_is_the_order_statistic_of_split_conformal(n, coverage, seed):
    rng = np.random.default_rng(seed)
    values, truth = rng.dirichlet(np.ones(4), n), rng.integers(0, 4, n)
    position = math.ceil((n + 1) * coverage - 1e-9)
    expected = np.sort(1 - values[np.arange(n), truth])[position - 1]
    assert conformal_threshold(values, truth, np.arange(n), coverage) == expected


@pytest.mark.parametrize(("units", "is_measurable"), [(8, False), (9, True)])
def test_nine_units_are_the_fewest_for_nine_tenths(units, is_measurable):
    truth = np.zeros(4 * units, int)
    values = np.tile([0.8, 0.2], (4 * units, 1))
    found = conformal_threshold(values, truth, np.arange(4 * units) // 4, COVERAGE)
    assert found == (pytest.approx(0.2) if is_measurable else None)


def test_a_set_is_never_empty():
    assert conformal_sets(np.array([[0.4, 0.3, 0.3]]), 0.1).tolist() == [[True, False, False]]


def answers(rng, truth, signal, scale=1.0):
    """Return probabilities [n, classes]; ``signal`` [n] is how far the true class stands out."""
    scores = rng.normal(size=(len(truth), CLASSES))
    scores[np.arange(len(truth)), truth] += signal
    odds = np.exp(scale * scores)
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n", [20, 80, 200])
@pytest.mark.parametrize("sizes", [1, 7])
def test_sets_cover_what_they_promise_with_groups_too(n, sizes):
    """Adapters of a group stand out alike, and groups are of 1 to ``sizes`` adapters: n groups calibrate."""
    rng = np.random.default_rng(n)
    covered = []
    for _ in range(600):
        units = np.repeat(np.arange(n + 20), rng.integers(1, sizes + 1, n + 20))
        truth = rng.integers(0, CLASSES, len(units))
        values = answers(rng, truth, rng.normal(2, 1.5, n + 20)[units])
        known = units < n
        threshold = conformal_threshold(values[known], truth[known], units[known], COVERAGE)
        # A new unit counts once however many adapters it has.
        new = units[~known]
        hits = conformal_sets(values[~known], threshold)[np.arange(len(new)), truth[~known]]
        covered.append(np.mean([hits[new == unit].mean() for unit in np.unique(new)]))
    assert COVERAGE - 0.015 <= np.mean(covered) <= COVERAGE + 1 / (n + 1) + 0.015


def test_coverage_survives_the_choice_of_cell_and_epoch_on_the_part_that_chose_nothing():
    """24 cells of 16 epochs, some better than others: validation chooses by accuracy, then loss.

    Calibrated on the part that chose, sets are too small, which shows that this simulation can tell.
    """
    rng = np.random.default_rng(0)
    covered = {"validation": [], "test": []}
    for _ in range(300):
        skills = rng.normal(1.0, 0.1, 24 * 16)
        truth = rng.integers(0, CLASSES, 40)
        known = answers(rng, np.tile(truth, len(skills)), np.repeat(skills, 40), scale=2.0)
        known = known.reshape(len(skills), 40, CLASSES)
        own = known[:, np.arange(40), truth]
        accuracy = (known.argmax(axis=2) == truth).mean(axis=1)
        best = np.lexsort((np.log(own).mean(axis=1), accuracy))[-1]
        tested, new = rng.integers(0, CLASSES, 80), rng.integers(0, CLASSES, 500)
        seen = {
            "validation": (known[best], truth),
            "test": (answers(rng, tested, np.full(80, skills[best]), scale=2.0), tested),
        }
        fresh = answers(rng, new, np.full(500, skills[best]), scale=2.0)
        for part, (values, classes) in seen.items():
            threshold = conformal_threshold(values, classes, np.arange(len(classes)), COVERAGE)
            covered[part].append(conformal_sets(fresh, threshold)[np.arange(500), new].mean())
    assert np.mean(covered["test"]) == pytest.approx(COVERAGE, abs=0.03)
    assert np.mean(covered["validation"]) < COVERAGE - 0.03
