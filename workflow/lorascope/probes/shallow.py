"""Probes from scikit-learn, fitted in one go; the validation part chooses the hyper-parameter."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.data.split import TRAIN, VALIDATION
from lorascope.probes.metrics import cross_entropy
from lorascope.probes.runs import Part, Run

# Where a class has no probability at all (no neighbour, no leaf), its logarithm must stay finite.
LEAST_PROBABILITY = 1e-6
# Scores that are no probabilities become some by a softmax; its temperature is chosen on the validation part.
TEMPERATURES = np.geomspace(0.01, 10, 61)


@dataclass(frozen=True)
class Candidate:
    """A fitted model: its hyper-parameter, and log-probabilities [n, classes] of each part."""

    chosen: dict[str, float]
    log_probabilities: dict[str, np.ndarray]


Candidates = Callable[[dict[str, Part], dict, int], Iterator[Candidate]]


def run_shallow(
    candidates: Candidates, parts: dict[str, Part], settings: dict, seeds: Sequence[int]
) -> Iterator[Run]:
    """Fit the candidates of each seed and yield the best by validation accuracy, then validation loss."""
    truth = parts[VALIDATION].classes
    for seed in seeds:
        started = time.perf_counter()
        best = max(candidates(parts, settings, seed), key=lambda candidate: _merit(candidate, truth))
        scores = best.log_probabilities
        yield Run(
            seed,
            train_loss=[cross_entropy(scores[TRAIN], parts[TRAIN].classes)],
            validation_loss=[cross_entropy(scores[VALIDATION], truth)],
            validation_accuracy=[_merit(best, truth)[0]],
            best_epoch=1,
            seconds=time.perf_counter() - started,
            log_probabilities=scores,
            chosen=best.chosen,
        )


def _merit(candidate: Candidate, truth: np.ndarray) -> tuple[float, float]:
    scores = candidate.log_probabilities[VALIDATION]
    return float((scores.argmax(axis=1) == truth).mean()), -cross_entropy(scores, truth)


def ridge(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Least squares on ±1 targets with an L2 penalty, one candidate a penalty."""
    from sklearn.linear_model import RidgeClassifier

    for penalty in settings["penalties"]:
        model = RidgeClassifier(alpha=penalty).fit(parts[TRAIN].features, parts[TRAIN].classes)
        scores = {name: _two_sided(model.decision_function(part.features)) for name, part in parts.items()}
        yield Candidate({"penalty": penalty}, _softmax(scores, parts[VALIDATION].classes))


def logistic(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Multinomial logistic regression with an L2 penalty; each candidate starts where the last one ended."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(warm_start=True, max_iter=settings["iterations"], tol=1e-3)
    for inverse_penalty in sorted(settings["inverse_penalties"]):
        model.set_params(C=inverse_penalty).fit(parts[TRAIN].features, parts[TRAIN].classes)
        yield Candidate({"inverse_penalty": inverse_penalty}, _probabilities(model, parts))


def knn(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Vote of the nearest training adapters, one candidate a number of neighbours."""
    from sklearn.neighbors import KNeighborsClassifier

    train = parts[TRAIN]
    for neighbours in settings["neighbours"]:
        if neighbours <= len(train.classes):
            model = KNeighborsClassifier(neighbours).fit(train.features, train.classes)
            yield Candidate({"neighbours": neighbours}, _probabilities(model, parts))


def kernel(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Kernel ridge on the inner products of the features as they are: the features are the kernel's map."""
    from sklearn.kernel_ridge import KernelRidge

    train = parts[TRAIN].features
    targets = 2.0 * np.eye(parts[TRAIN].classes.max() + 1)[parts[TRAIN].classes] - 1
    products = {name: (part.features @ train.T).astype(np.float64) for name, part in parts.items()}
    # Penalties count in units of the mean squared norm, so that they mean the same for every representation.
    unit = float(np.trace(products[TRAIN])) / len(train) or 1.0
    for penalty in settings["penalties"]:
        model = KernelRidge(alpha=penalty, kernel="precomputed").fit(products[TRAIN] / unit, targets)
        scores = {name: model.predict(rows / unit) for name, rows in products.items()}
        yield Candidate({"penalty": penalty}, _softmax(scores, parts[VALIDATION].classes))


def trees(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Gradient-boosted trees, one candidate every few trees of one model."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=settings["iterations"],
        learning_rate=settings["learning_rate"],
        max_leaf_nodes=settings["leaves"],
        max_features=settings["features_per_split"],
        early_stopping=False,
        random_state=seed,
    ).fit(parts[TRAIN].features, parts[TRAIN].classes)
    stages = {name: model.staged_predict_proba(part.features) for name, part in parts.items()}
    for count, stage in enumerate(zip(*stages.values(), strict=True), start=1):
        if count % settings["candidate_every"] == 0 or count == settings["iterations"]:
            yield Candidate({"iterations": count}, dict(zip(stages, map(_log, stage), strict=True)))


def deal_labels(parts: dict[str, Part], seed: int) -> dict[str, Part]:
    """Deal the labels of the training and the validation part out at random, each within its part."""
    rng = np.random.default_rng(seed)
    dealt = {name: rng.permutation(parts[name].classes) for name in (TRAIN, VALIDATION)}
    return {name: Part(part.features, dealt.get(name, part.classes)) for name, part in parts.items()}


def majority(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Control: the shares of the classes in the training part, whatever the features are."""
    shares = np.bincount(parts[TRAIN].classes) / len(parts[TRAIN].classes)
    yield Candidate({}, {name: np.tile(_log(shares), (len(p.classes), 1)) for name, p in parts.items()})


def _probabilities(model, parts: dict[str, Part]) -> dict[str, np.ndarray]:
    return {name: _log(model.predict_proba(part.features).astype(float)) for name, part in parts.items()}


def _log(probabilities: np.ndarray) -> np.ndarray:
    floored = np.maximum(probabilities, LEAST_PROBABILITY)
    return np.log(floored / floored.sum(axis=-1, keepdims=True))


def _two_sided(scores: np.ndarray) -> np.ndarray:
    """Return one column a class also for two classes, where scikit-learn gives one in all."""
    return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores


def _softmax(scores: dict[str, np.ndarray], truth: np.ndarray) -> dict[str, np.ndarray]:
    """Turn scores into log-probabilities at the temperature with the lowest validation loss."""
    losses = [cross_entropy(_log_softmax(scores[VALIDATION] / value), truth) for value in TEMPERATURES]
    temperature = TEMPERATURES[int(np.argmin(losses))]
    return {name: _log_softmax(rows / temperature) for name, rows in scores.items()}


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
