"""Closed-form ridge: the same fit and the same penalty as scikit-learn's, from features and from a kernel."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifierCV

from lorascope.probes.closed_form import kernel_ridge_scores, ridge_scores, targets_of

PENALTIES = [0.01, 1.0, 100.0, 10000.0]


def problem(n, p, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    own = np.arange(n) % classes
    centres = rng.normal(0, 0.5, (classes, p))
    return centres[own] + rng.normal(size=(n, p)) + 3, own, rng.normal(size=(9, p)) + 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n", "p"), [(40, 6), (20, 50), (15, 15)])
def test_scores_and_penalty_are_those_of_scikit_learn(n, p, seed):
    train, own, other = problem(n, p, seed=seed)
    scores, penalty = ridge_scores(train, targets_of(own, 3), other, PENALTIES)
    theirs = RidgeClassifierCV(PENALTIES).fit(train, own)
    assert penalty == theirs.alpha_
    np.testing.assert_allclose(scores, theirs.decision_function(other), rtol=1e-6, atol=1e-8)


def test_features_and_their_inner_products_give_the_same():
    train, own, other = problem(30, 8)
    direct = ridge_scores(train, targets_of(own, 3), other, PENALTIES)
    by_kernel = kernel_ridge_scores(train @ train.T, targets_of(own, 3), other @ train.T, PENALTIES)
    np.testing.assert_allclose(direct[0], by_kernel[0], atol=1e-8)
    assert direct[1] == by_kernel[1]


def test_features_without_any_information_give_the_shares_of_the_classes():
    own = np.array([0, 0, 0, 1])
    scores, _ = ridge_scores(np.ones((4, 5)), targets_of(own, 2), np.ones((2, 5)), PENALTIES)
    np.testing.assert_allclose(scores, [[0.5, -0.5]] * 2)
