import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import (
    brier_score_loss,
    confusion_matrix,
    matthews_corrcoef,
    roc_auc_score,
    top_k_accuracy_score,
)

from lorascope.stats import scores

SEEDS, ADAPTERS, CLASSES = 3, 120, 5


@pytest.fixture(scope="module")
def run():
    """Probabilities of three seeds that know something, and the truth."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, ADAPTERS)
    logits = rng.normal(0, 1, (SEEDS, ADAPTERS, CLASSES))
    logits[:, np.arange(ADAPTERS), truth] += 1.2
    return softmax(logits, axis=2), truth


def confusions_of(probabilities, truth):
    labels = np.arange(probabilities.shape[2])
    return np.stack([confusion_matrix(truth, seed.argmax(axis=1), labels=labels) for seed in probabilities])


def test_scores_are_those_of_scikit_learn(run):
    probabilities, truth = run
    found = scores.probability_scores(probabilities, truth, confusions_of(probabilities, truth))
    assert tuple(found) == scores.SCORES
    for seed, values in enumerate(probabilities):
        named = values.argmax(axis=1)
        assert found["top3_accuracy"][seed] == pytest.approx(top_k_accuracy_score(truth, values, k=3))
        assert found["auroc"][seed] == pytest.approx(roc_auc_score(truth, values, multi_class="ovr"))
        assert found["mcc"][seed] == pytest.approx(matthews_corrcoef(truth, named))
        assert found["brier"][seed] == pytest.approx(brier_score_loss(truth, values, scale_by_half=False))
        assert found["confidence"][seed] == pytest.approx(values.max(axis=1).mean())


def naive_ece(confidence, right):
    """The definition of Guo et al. (2017), bin by bin."""
    total = 0.0
    for index in range(scores.CALIBRATION_BINS):
        low, high = index / scores.CALIBRATION_BINS, (index + 1) / scores.CALIBRATION_BINS
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


def test_calibration_error_follows_its_definition(run):
    probabilities, truth = run
    confidence, right = probabilities.max(axis=2), probabilities.argmax(axis=2) == truth
    expected = [naive_ece(*seed) for seed in zip(confidence, right, strict=True)]
    assert scores.ece(confidence, right) == pytest.approx(expected)


def test_calibrated_answers_have_nearly_no_calibration_error():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.2, 1, (1, 200_000))
    assert scores.ece(confidence, rng.random(confidence.shape) < confidence)[0] < 0.01


def test_reliability_accounts_for_every_answer(run):
    probabilities, truth = run
    curve = scores.reliability(probabilities, truth, np.arange(len(truth)))
    right = probabilities.argmax(axis=2) == truth
    assert curve["adapters"].sum() == pytest.approx(ADAPTERS)
    assert (curve["accuracy"] * curve["adapters"]).sum() == pytest.approx(right.sum() / SEEDS)
    assert np.all(curve["confidence"] * scores.CALIBRATION_BINS <= curve["bin"] + 1 + 1e-9)
    assert np.all(curve["confidence"] * scores.CALIBRATION_BINS > curve["bin"])


def test_a_class_that_does_not_occur_is_left_out_of_the_auroc(run):
    probabilities, truth = run
    kept = truth != 4
    members = [
        roc_auc_score(truth[kept] == code, probabilities[0, kept, code], labels=[0, 1]) for code in range(4)
    ]
    assert scores.auroc(probabilities[:1, kept], truth[kept]) == pytest.approx(np.mean(members))


def test_one_class_alone_has_no_auroc(run):
    probabilities, _ = run
    assert np.isnan(scores.auroc(probabilities, np.zeros(ADAPTERS, dtype=int))).all()


def test_indifferent_probabilities_know_nothing():
    even, truth = np.full((1, 30, 5), 0.2), np.arange(30) % 5
    assert scores.auroc(even, truth) == pytest.approx([0.5])
    assert scores.top_accuracy(even, truth) == pytest.approx([0.0])


def test_an_answer_that_never_varies_has_no_correlation():
    always = np.zeros((1, 3, 3), dtype=int)
    always[0, :, 1] = 10
    assert scores.mcc(always) == pytest.approx([0.0])


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(2, 40))
def test_scores_stay_in_their_ranges(seed, classes, adapters):
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, 3, (2, adapters, classes)), axis=2).astype(np.float32)
    truth = rng.integers(0, classes, adapters)
    found = scores.probability_scores(probabilities, truth, confusions_of(probabilities, truth))
    for name, low, high in (("ece", 0, 1), ("brier", 0, 2), ("mcc", -1, 1), ("top3_accuracy", 0, 1)):
        assert np.all((found[name] >= low - 1e-6) & (found[name] <= high + 1e-6)), name
