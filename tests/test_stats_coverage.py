"""Intervals hold the truth as often as they promise, and tests are wrong no oftener."""

import pytest

from stats_simulation import DRAWS, LEVEL, NOMINAL, SCENARIOS, TESTS, TOLERANCE


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_coverage(scenario):
    coverage = scenario.coverage(DRAWS)
    assert coverage >= NOMINAL - TOLERANCE
    assert scenario.at_least or coverage <= NOMINAL + TOLERANCE


@pytest.mark.parametrize("test", TESTS, ids=lambda each: each.name)
def test_false_alarms(test):
    share = test.false_alarms(DRAWS)
    # Two and a half deviations of so many draws.
    assert share <= LEVEL + 0.0125
    assert test.discrete or share >= LEVEL - TOLERANCE
