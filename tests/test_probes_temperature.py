"""Temperatures: the exact minimum, no answer changed, and confidence that fits small validation parts too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from lorascope.probes.metrics import cross_entropy
from lorascope.probes.probabilities import log_softmax
from lorascope.probes.runs import Part, Run
from lorascope.probes.temperature import (
    FOLDS,
    calibrated,
    calibrated_loss,
    cross_fitted,
    fit_temperature,
    tempered,
)


def draw(n, classes=5, signal=2.0, scale=1.0, seed=0):
    """Draw classes and log-probabilities that are right about them at the temperature ``scale``."""
    rng = np.random.default_rng(seed)
    scores = signal * rng.normal(size=(n, classes))
    probabilities = np.exp(log_softmax(scores))
    truth = (rng.random(n)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    return log_softmax(scores * scale), truth


def penalised_loss(log_probabilities, truth, temperature):
    """The loss as it is described: every adapter, and two that stand for one right and one second choice."""
    scores = tempered(log_probabilities, temperature)
    order = np.argsort(-log_probabilities, axis=1)
    pseudo = [cross_entropy(scores, order[:, place]) for place in (0, 1)]
    return len(truth) * cross_entropy(scores, truth) + sum(pseudo)


@given(st.integers(1, 60), st.integers(2, 6), st.floats(0.05, 20), st.integers(0, 2**16))
def test_the_temperature_is_the_minimum_of_the_penalised_loss(n, classes, scale, seed):
    log_probabilities, truth = draw(n, classes, scale=scale, seed=seed)
    found = fit_temperature(log_probabilities, truth)
    best = minimize_scalar(
        lambda log_t: penalised_loss(log_probabilities, truth, np.exp(log_t)),
        bounds=(-9, 12),
        method="bounded",
    )
    loss = penalised_loss(log_probabilities, truth, found)
    gap = np.diff(np.sort(log_probabilities, axis=1)[:, -2:]).mean()
    at_its_limit = found == pytest.approx(gap / 0.01)
    assert at_its_limit or loss <= best.fun + 1e-6 * abs(best.fun)


@given(st.integers(2, 40), st.floats(0.05, 20), st.integers(0, 2**16))
def test_no_answer_changes(n, scale, seed):
    log_probabilities, truth = draw(n, scale=scale, seed=seed)
    answers = log_probabilities.argmax(axis=1)
    for temperature in (fit_temperature(log_probabilities, truth), cross_fitted(log_probabilities, truth)):
        scores = tempered(log_probabilities, temperature)
        assert np.array_equal(np.exp(scores).astype(np.float32).argmax(axis=1), answers)
        np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1)


@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
def test_with_many_adapters_the_true_temperature_is_found(scale):
    log_probabilities, truth = draw(20_000, scale=scale)
    assert fit_temperature(log_probabilities, truth) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("scale", [0.001, 1.0, 1000.0])
@pytest.mark.parametrize("n", [1, 2, 5, 10, 40, 1000])
def test_after_n_right_answers_confidence_follows_the_rule_of_succession(n, scale):
    truth = np.arange(n) % 4
    log_probabilities = log_softmax(scale * np.eye(4)[truth])
    confidence = np.exp(tempered(log_probabilities, fit_temperature(log_probabilities, truth)).max(axis=1))
    np.testing.assert_allclose(confidence, (n + 1) / (n + 2), rtol=1e-9)


def test_a_probe_that_knows_nothing_is_unsure():
    rng = np.random.default_rng(0)
    log_probabilities = log_softmax(10 * rng.normal(size=(200, 5)))
    confidence = np.exp(
        tempered(log_probabilities, fit_temperature(log_probabilities, rng.integers(0, 5, 200)))
    )
    assert confidence.max() < 0.35


def test_a_probe_that_is_always_wrong_is_unsure_and_keeps_its_answers():
    truth = np.zeros(50, int)
    log_probabilities = log_softmax(np.tile([-9.0, 0.0, -5.0], (50, 1)))
    found = tempered(log_probabilities, fit_temperature(log_probabilities, truth))
    np.testing.assert_allclose(np.exp(found), 1 / 3, atol=0.01)
    assert (found.argmax(axis=1) == 1).all()


@pytest.mark.parametrize(
    ("log_probabilities", "truth"),
    [
        (np.empty((0, 3)), np.empty(0, int)),
        (np.log(np.full((7, 4), 0.25)), np.arange(7) % 4),
        (np.zeros((5, 1)), np.zeros(5, int)),
    ],
)
def test_where_there_is_nothing_to_fit_nothing_changes(log_probabilities, truth):
    assert fit_temperature(log_probabilities, truth) == 1


@pytest.mark.parametrize("validation", [5, 40, 200])
@pytest.mark.parametrize("scale", [0.1, 8.0])
def test_confidence_is_accuracy_on_adapters_that_chose_nothing(validation, scale):
    """Calibration in the large, over draws of the validation part: within 5 points, from 30 to 60 before."""
    signs, before = [], []
    for seed in range(200):
        log_probabilities, truth = draw(validation + 300, scale=scale, seed=seed)
        fitted = fit_temperature(log_probabilities[:validation], truth[:validation])
        own, hits = log_probabilities[validation:], truth[validation:]
        right = (own.argmax(axis=1) == hits).mean()
        signs.append(np.exp(tempered(own, fitted)).max(axis=1).mean() - right)
        before.append(np.exp(own).max(axis=1).mean() - right)
    assert abs(np.mean(before)) > 0.2
    assert abs(np.mean(signs)) < (0.1 if validation == 5 else 0.03)


def test_an_adapters_own_class_has_no_say_in_its_cross_fitted_temperature():
    log_probabilities, truth = draw(40, seed=3)
    before = cross_fitted(log_probabilities, truth)
    for row in range(40):
        others = np.delete(np.arange(40), row)
        # Without touching the folds: a class of the same rank in the order keeps every other adapter's place.
        swapped = log_probabilities.copy()
        swapped[row] = log_softmax(-50 * log_probabilities[[row]])[0]
        after = cross_fitted(swapped, truth)
        assert after[row] == before[row]
        assert (after[others] != before[others]).any()


def test_folds_hold_every_class():
    """As many fits as folds, each class spread over them, also where classes come in turn."""
    log_probabilities, _ = draw(30)
    truth = np.arange(30) % FOLDS
    temperatures = cross_fitted(log_probabilities, truth)
    assert len(np.unique(temperatures)) == FOLDS
    for value in np.unique(temperatures):
        assert set(truth[temperatures == value]) == set(range(FOLDS))


def test_a_run_is_calibrated_once_and_everywhere():
    log_probabilities, truth = draw(90, scale=6)
    parts = {
        name: Part(np.zeros((30, 1), np.float32), truth[i : i + 30])
        for name, i in (("train", 0), ("validation", 30), ("test", 60))
    }
    raw = {
        name: log_probabilities[i : i + 30] for name, i in (("train", 0), ("validation", 30), ("test", 60))
    }
    run = calibrated(Run(0, log_probabilities=dict(raw)), parts)
    own = parts["validation"].classes
    assert run.temperature == fit_temperature(raw["validation"], own)
    assert 3 < run.temperature < 12
    for name in ("train", "test"):
        np.testing.assert_array_equal(run.log_probabilities[name], tempered(raw[name], run.temperature))
    expected = tempered(raw["validation"], cross_fitted(raw["validation"], own))
    np.testing.assert_array_equal(run.log_probabilities["validation"], expected)
    # What was fitted to the same adapters looks better than it is.
    assert calibrated_loss(raw["validation"], own) < cross_entropy(expected, own)
