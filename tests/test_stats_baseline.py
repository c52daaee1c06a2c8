from itertools import permutations

import numpy as np
import pytest

from lorascope.stats.baseline import PERMUTATIONS, permutation_baseline


def one_hot(named, classes):
    return (np.asarray(named)[:, None] == np.arange(classes)).astype(float)


def test_small_sets_are_permuted_exhaustively():
    truth, named = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2])
    baseline = permutation_baseline(one_hot(named, 3), truth, np.arange(5), "adapter")
    null = np.array([np.mean(named == permuted) for permuted in permutations(truth)])
    assert baseline.mean == pytest.approx(null.mean())
    assert baseline.p == pytest.approx(np.mean(null >= 0.8 - 1e-9))


def test_knowledge_is_found_and_ignorance_is_not():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 400)
    guessed = rng.integers(0, 10, 400)
    known = np.where(rng.random(400) < 0.3, truth, guessed)
    units = np.arange(400)
    ignorant = permutation_baseline(one_hot(guessed, 10), truth, units, "adapter")
    knowing = permutation_baseline(one_hot(known, 10), truth, units, "adapter")
    assert ignorant.mean == pytest.approx(0.1, abs=0.01)
    assert ignorant.p > 0.05
    assert knowing.p == pytest.approx(1 / (PERMUTATIONS + 1))
    assert np.mean(known == truth) > knowing.high > np.mean(guessed == truth) - 0.05


def test_groups_of_one_class_are_permuted_whole():
    """Few groups: many adapters must not make the test more certain than the groups allow."""
    units = np.repeat(np.arange(4), 50)
    truth = units % 2
    grouped = permutation_baseline(one_hot(truth, 2), truth, units, "group")
    assert grouped.unit == "group"
    assert grouped.p == pytest.approx(1 / 6)  # 4! permutations, of which 4 give the same labels
    apart = permutation_baseline(one_hot(truth, 2), truth, np.arange(200), "adapter")
    assert apart.p < 0.001


def test_groups_of_several_classes_have_no_label_to_deal():
    truth = np.arange(40) % 2
    baseline = permutation_baseline(one_hot(truth, 2), truth, np.repeat(np.arange(4), 10), "group")
    assert baseline.unit == "adapter"


def test_false_alarms_are_as_rare_as_they_claim():
    rng = np.random.default_rng(3)
    truth = np.arange(60) % 3
    p = [
        permutation_baseline(one_hot(rng.integers(0, 3, 60), 3), truth, np.arange(60), "adapter").p
        for _ in range(120)
    ]
    assert np.mean(np.array(p) <= 0.05) < 0.12
