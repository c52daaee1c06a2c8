"""Probes of scikit-learn: they learn, choose on the validation part alone, and are handed out alike."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import accuracy_score

from lorascope.probes.candidates import Candidate, chosen_by_validation
from lorascope.probes.classifiers import kernel, trees
from lorascope.probes.classifiers.permuted import permute_labels
from lorascope.probes.metrics import cross_entropy
from lorascope.probes.probabilities import log_softmax
from lorascope.probes.registry import is_seedless, run_probe
from lorascope.probes.runs import Part
from lorascope.probes.temperature import fit_temperature
from lorascope.study.config import load_section

PROBES = ["ridge", "logistic", "knn", "kernel", "trees", "permuted", "majority"]
LEARNING = [name for name in PROBES if name not in ("permuted", "majority")]


def blobs(classes=3, spread=0.5, features=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (classes, features))
    columns = tuple(f"mid_block.attn1.to_q.delta/feature_{i}" for i in range(features))
    parts = {}
    for name, n in {"train": 90, "validation": 30, "test": 60}.items():
        own = np.arange(n) % classes
        values = centres[own] + spread * rng.normal(size=(n, features))
        parts[name] = Part(values.astype(np.float32), own, columns)
    return parts


def run(name, parts, seeds=(0,), **changed):
    n_classes = int(parts["train"].classes.max()) + 1
    return list(run_probe(name, parts, n_classes, load_section(name, changed), seeds))


def accuracy(run, parts, part="test"):
    return accuracy_score(parts[part].classes, run.log_probabilities[part].argmax(axis=1))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", LEARNING)
def test_learns_what_can_be_learnt(name, classes):
    parts = blobs(classes)
    (done,) = run(name, parts)
    assert accuracy(done, parts) > 0.85


@pytest.mark.parametrize("name", PROBES)
def test_hands_out_log_probabilities_and_one_epoch(name):
    parts = blobs()
    (done,) = run(name, parts)
    for part, scores in done.log_probabilities.items():
        assert scores.shape == (len(parts[part].classes), 3)
        np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1)
    assert (done.epochs, done.best_epoch) == (1, 1)


@pytest.mark.parametrize("name", list(filter(is_seedless, [*PROBES, "fusion", "class_means"])))
def test_a_seedless_probe_gives_the_same_run_for_every_seed(name):
    first, second = run(name, blobs(), seeds=(1, 2))
    assert all(np.array_equal(first.log_probabilities[p], second.log_probabilities[p]) for p in blobs())


@pytest.mark.parametrize("name", LEARNING)
def test_the_test_part_has_no_say(name):
    parts = blobs(spread=2.0)
    (before,) = run(name, parts)
    shuffled = np.random.default_rng(1).permutation(parts["test"].classes)
    (after,) = run(name, {**parts, "test": Part(parts["test"].features, shuffled)})
    assert before.chosen == after.chosen
    assert np.array_equal(before.log_probabilities["test"], after.log_probabilities["test"])


def test_validation_chooses_the_penalty():
    parts = blobs(spread=2.0)
    penalties = [0.01, 1, 100, 10_000]
    (done,) = run("ridge", parts, penalties=penalties)
    by_hand = {}
    for penalty in penalties:
        model = RidgeClassifier(alpha=penalty).fit(parts["train"].features, parts["train"].classes)
        by_hand[penalty] = model.score(parts["validation"].features, parts["validation"].classes)
    assert by_hand[done.chosen["penalty"]] == max(by_hand.values())


def candidate(name, scores, parts):
    """A candidate that says the same, scores [n, classes], about every part."""
    return Candidate({"name": name}, dict.fromkeys(parts, log_softmax(np.array(scores, float))), {})


def test_accuracy_chooses_and_then_the_loss_at_each_candidates_own_temperature():
    truth = np.array([0, 0, 1, 1, 2, 2])
    parts = {name: Part(np.zeros((6, 1), np.float32), truth) for name in ("train", "validation", "test")}
    right, wrong = np.eye(3)[truth], np.eye(3)[[1, 0, 1, 1, 2, 2]]
    doubtful = right * np.tile([[0.02], [1.0]], (3, 1))
    given = [
        candidate("inaccurate", 20 * wrong, parts),
        # Unsure of every other answer; its scores are large, so that its own loss is small.
        candidate("doubtful", 30 * doubtful, parts),
        # The better one once both have their temperature, though its own loss is the largest.
        candidate("clear", 0.01 * right, parts),
    ]
    losses = [cross_entropy(found.log_probabilities["validation"], truth) for found in given]
    assert losses[1] < losses[2]
    for order in (given, given[::-1]):
        (done,) = chosen_by_validation(lambda *_, order=order: iter(order))(parts, 3, {}, [0])
        assert done.chosen == {"name": "clear"}
        assert done.validation_accuracy == [1.0]


def test_permuted_labels_fit_the_temperature_too():
    parts = blobs(spread=0.3)
    (done,) = run("permuted", parts, seeds=(5,))
    scores = parts["validation"].features @ done.state["weights"] + done.state["bias"]
    permuted = permute_labels(parts, 5)["validation"].classes
    assert not np.array_equal(permuted, parts["validation"].classes)
    assert done.temperature == pytest.approx(fit_temperature(scores, permuted), rel=1e-4)
    assert done.temperature != pytest.approx(fit_temperature(scores, parts["validation"].classes), rel=0.1)


def test_kernel_is_ridge_without_intercept_on_raw_features():
    parts = blobs()
    penalty = 0.3
    (candidate,) = kernel.candidates(parts, {"penalties": [penalty]}, 0)
    x = parts["train"].features.astype(float)
    unit = np.square(x).sum() / len(x)
    targets = 2.0 * np.eye(3)[parts["train"].classes] - 1
    weights = np.linalg.solve(x.T @ x / unit + penalty * np.eye(x.shape[1]), x.T @ targets / unit)
    expected = (parts["test"].features @ weights).argmax(axis=1)
    assert np.array_equal(candidate.log_probabilities["test"].argmax(axis=1), expected)


def test_permuted_labels_leave_chance():
    parts = blobs(features=40)
    scores = [accuracy(done, parts) for done in run("permuted", parts, seeds=range(60))]
    # Three deviations of the mean: choosing the penalty by the true labels gave 0.43 and is caught.
    assert np.mean(scores) == pytest.approx(1 / 3, abs=3 * np.std(scores) / np.sqrt(60))
    assert np.std(scores) > 0


def test_majority_names_the_most_frequent_class():
    parts = blobs()
    lopsided = np.where(np.arange(90) < 70, 1, parts["train"].classes)
    (done,) = run("majority", {**parts, "train": Part(parts["train"].features, lopsided)})
    assert (done.log_probabilities["test"].argmax(axis=1) == 1).all()
    np.testing.assert_allclose(np.exp(done.log_probabilities["test"][0]), np.bincount(lopsided) / 90)
    assert done.temperature == 1


def test_more_neighbours_than_adapters_are_no_candidates():
    parts = blobs()
    few = Part(parts["train"].features[:4], parts["train"].classes[:4])
    (done,) = run("knn", {**parts, "train": few}, neighbours=[3, 99])
    assert done.chosen == {"neighbours": 3}


def test_trees_are_weighed_every_so_many_iterations_and_at_the_last():
    settings = load_section("trees", {"iterations": 10, "candidate_every": 4})
    assert [found.chosen["iterations"] for found in trees.candidates(blobs(), settings, 0)] == [4, 8, 10]
