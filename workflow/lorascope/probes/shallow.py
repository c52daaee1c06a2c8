"""Probes from scikit-learn, fitted in one go; the validation part chooses the hyper-parameter."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lorascope.data.split import TRAIN, VALIDATION
from lorascope.probes.metrics import cross_entropy
from lorascope.probes.predictors import State, floored_log, linear_scores, log_softmax
from lorascope.probes.runs import Part, Run

# Scores that are no probabilities become some by a softmax; its temperature is chosen on the validation part.
TEMPERATURES = np.geomspace(0.01, 10, 61)


@dataclass(frozen=True)
class Candidate:
    """A fitted model: its hyper-parameter, log-probabilities [n, classes] of each part, and its arrays."""

    chosen: dict[str, float]
    log_probabilities: dict[str, np.ndarray]
    state: State


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
            state=best.state,
        )


def _merit(candidate: Candidate, truth: np.ndarray) -> tuple[float, float]:
    scores = candidate.log_probabilities[VALIDATION]
    return float((scores.argmax(axis=1) == truth).mean()), -cross_entropy(scores, truth)


def ridge(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Least squares on ±1 targets with an L2 penalty, one candidate a penalty."""
    from sklearn.linear_model import RidgeClassifier

    for penalty in settings["penalties"]:
        model = RidgeClassifier(alpha=penalty).fit(parts[TRAIN].features, parts[TRAIN].classes)
        weights, bias = _two_sided(np.atleast_2d(model.coef_).T), _two_sided(np.atleast_2d(model.intercept_))
        yield linear_candidate({"penalty": penalty}, parts, weights.astype(np.float64), bias[0])


def logistic(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Multinomial logistic regression with an L2 penalty; each candidate starts where the last one ended."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(warm_start=True, max_iter=settings["iterations"], tol=1e-3)
    for inverse_penalty in sorted(settings["inverse_penalties"]):
        model.set_params(C=inverse_penalty).fit(parts[TRAIN].features, parts[TRAIN].classes)
        weights, bias = model.coef_.T.astype(np.float64), model.intercept_.copy()
        if len(bias) == 1:
            # Of two classes the first has score 0.
            weights, bias = weights * [0, 1], bias * [0, 1]
        state = {"weights": weights, "bias": bias}
        yield Candidate({"inverse_penalty": inverse_penalty}, _probabilities(model, parts), state)


def knn(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Vote of the nearest training adapters, one candidate a number of neighbours."""
    from sklearn.neighbors import KNeighborsClassifier

    train = parts[TRAIN]
    for neighbours in settings["neighbours"]:
        if neighbours <= len(train.classes):
            model = KNeighborsClassifier(neighbours).fit(train.features, train.classes)
            state = {"features": train.features, "classes": train.classes, "neighbours": np.array(neighbours)}
            yield Candidate({"neighbours": neighbours}, _probabilities(model, parts), state)


def kernel(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Kernel ridge on the inner products of the features as they are: the features are the kernel's map."""
    from sklearn.kernel_ridge import KernelRidge

    # Squares of very large or small features leave float32; a power of two rounds nothing.
    exponent = np.frexp(np.abs(parts[TRAIN].features).max())[1]
    train = np.ldexp(parts[TRAIN].features, -exponent)
    targets = 2.0 * np.eye(parts[TRAIN].classes.max() + 1)[parts[TRAIN].classes] - 1
    products = (train @ train.T).astype(np.float64)
    # Penalties count in units of the mean squared norm, so that they mean the same for every representation.
    unit = float(np.trace(products)) / len(train) or 1.0
    for penalty in settings["penalties"]:
        model = KernelRidge(alpha=penalty, kernel="precomputed").fit(products / unit, targets)
        # Products with all training adapters, summed with the dual coefficients: products with one vector.
        weights = np.ldexp(linear_scores(train.T, model.dual_coef_ / unit), -exponent)
        yield linear_candidate({"penalty": penalty}, parts, weights, np.zeros(targets.shape[1]))


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
            scores = dict(zip(stages, map(floored_log, stage), strict=True))
            yield Candidate({"iterations": count}, scores, _tree_arrays(model, count))


def _tree_arrays(model, iterations: int) -> State:
    """Return the first trees of a model as arrays; see :func:`lorascope.probes.predictors.trees`."""
    # scikit-learn has no public way to the nodes; the alternative would be a pickle.
    grown = [tree.nodes for iteration in model._predictors[:iterations] for tree in iteration]
    shape = len(grown), max(map(len, grown))
    state = {
        "feature": np.zeros(shape, np.int32),
        "threshold": np.zeros(shape),
        "left": np.zeros(shape, np.int32),
        "right": np.zeros(shape, np.int32),
        "value": np.zeros(shape),
        "baseline": model._baseline_prediction.ravel(),
        "depth": np.array(max(int(nodes["depth"].max()) for nodes in grown)),
    }
    for tree, nodes in enumerate(grown):
        own, leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
        state["feature"][tree, own] = np.where(leaf, 0, nodes["feature_idx"])
        state["threshold"][tree, own] = np.where(leaf, 0, nodes["num_threshold"])
        for side in ("left", "right"):
            state[side][tree, own] = np.where(leaf, own, nodes[side])
        state["value"][tree, own] = nodes["value"]
    return state


def deal_labels(parts: dict[str, Part], seed: int) -> dict[str, Part]:
    """Deal the labels of the training and the validation part out at random, each within its part."""
    rng = np.random.default_rng(seed)
    dealt = {name: rng.permutation(parts[name].classes) for name in (TRAIN, VALIDATION)}
    return {name: replace(part, classes=dealt.get(name, part.classes)) for name, part in parts.items()}


def majority(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Control: the shares of the classes in the training part, whatever the features are."""
    shares = np.bincount(parts[TRAIN].classes) / len(parts[TRAIN].classes)
    scores = {name: np.tile(floored_log(shares), (len(part.classes), 1)) for name, part in parts.items()}
    yield Candidate({}, scores, {"shares": shares})


def _probabilities(model, parts: dict[str, Part]) -> dict[str, np.ndarray]:
    return {
        name: floored_log(model.predict_proba(part.features).astype(float)) for name, part in parts.items()
    }


def _two_sided(scores: np.ndarray) -> np.ndarray:
    """Return one column a class also for two classes, where scikit-learn gives one in all."""
    return np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


def linear_candidate(
    chosen: dict[str, float], parts: dict[str, Part], weights: np.ndarray, bias: np.ndarray
) -> Candidate:
    """Turn linear scores into log-probabilities at the temperature with the lowest validation loss."""
    scores = {name: linear_scores(part.features, weights) + bias for name, part in parts.items()}
    truth = parts[VALIDATION].classes
    losses = [cross_entropy(log_softmax(scores[VALIDATION] / value), truth) for value in TEMPERATURES]
    temperature = TEMPERATURES[int(np.argmin(losses))]
    log_probabilities = {name: log_softmax(rows / temperature) for name, rows in scores.items()}
    return Candidate(
        chosen, log_probabilities, {"weights": weights / temperature, "bias": bias / temperature}
    )
