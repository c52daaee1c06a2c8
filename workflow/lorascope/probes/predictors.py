"""Trained probes without the libraries that trained them: from their arrays to probabilities. numpy only.

Each predictor takes what its probe keeps in ``Run.state`` and features as that probe saw them (standardised,
but for ``kernel``), and returns natural logarithms of probabilities, float64 [n, classes].
"""

from collections.abc import Callable, Iterator

import numpy as np

# Where a class has no probability at all (no neighbour, no leaf), its logarithm must stay finite.
LEAST_PROBABILITY = 1e-6
# Numbers of the largest temporary array.
_ENTRIES_AT_ONCE = 1 << 24

State = dict[str, np.ndarray]


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Return the logarithm of the softmax of each row."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def floored_log(probabilities: np.ndarray) -> np.ndarray:
    """Return logarithms of probabilities of which none counts as less than ``LEAST_PROBABILITY``."""
    floored = np.maximum(probabilities, LEAST_PROBABILITY)
    return np.log(floored / floored.sum(axis=-1, keepdims=True))


def linear_scores(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return ``features`` @ ``weights`` in float64, [n, classes], without a float64 copy of all features."""
    scores = np.empty((len(features), weights.shape[1]))
    for rows in _chunks(len(features), features.shape[1]):
        scores[rows] = features[rows].astype(np.float64) @ weights
    return scores


def mlp(state: State, features: np.ndarray, n_classes: int) -> np.ndarray:
    """Multilayer perceptron, norms folded into ``weight.<i>`` [in, out] and ``shift.<i>`` [1, out]."""
    layers = [(state[f"weight.{i}"], state[f"shift.{i}"]) for i in range(len(state) // 2)]
    for weight, shift in layers[:-1]:
        features = np.maximum(features @ weight + shift, 0)
    weight, shift = layers[-1]
    return log_softmax((features @ weight + shift).astype(np.float64))


def linear(state: State, features: np.ndarray, n_classes: int) -> np.ndarray:
    """Softmax of linear scores: ``weights`` [features, classes] and ``bias`` [classes]."""
    return log_softmax(linear_scores(features, state["weights"]) + state["bias"])


def logistic(state: State, features: np.ndarray, n_classes: int) -> np.ndarray:
    """As :func:`linear`, and no class without probability."""
    return floored_log(np.exp(linear(state, features, n_classes)))


def knn(state: State, features: np.ndarray, n_classes: int) -> np.ndarray:
    """Shares of the classes among the nearest of the training adapters, ``features`` [n_train, features]."""
    known = state["features"]
    votes = np.eye(n_classes)[state["classes"]]
    half_norms = 0.5 * np.einsum("ij,ij->i", known, known, dtype=np.float64)
    shares = np.empty((len(features), n_classes))
    for rows in _chunks(len(features), len(known) + known.shape[1]):
        # Of ‖x − y‖² the part that differs from one y to another.
        far = half_norms - linear_scores(known, features[rows].astype(np.float64).T).T
        nearest = np.argsort(far, axis=1, kind="stable")[:, : int(state["neighbours"])]
        shares[rows] = votes[nearest].mean(axis=1)
    return floored_log(shares)


def trees(state: State, features: np.ndarray, n_classes: int) -> np.ndarray:
    """Sum of the leaves' values, one tree a class and iteration; two classes share one tree.

    Arrays are [trees, nodes]: ``feature``, ``threshold`` (at most: left), ``left``, ``right``, ``value``; a
    leaf is its own child. ``baseline`` [trees of an iteration]; ``depth`` of the deepest tree.
    """
    baseline, tree = state["baseline"], np.arange(len(state["feature"]))
    raw = np.empty((len(features), len(baseline)))
    for rows in _chunks(len(features), 4 * len(tree) + features.shape[1]):
        values, row = features[rows], np.arange(len(features[rows]))[:, None]
        node = np.zeros((len(values), len(tree)), np.intp)
        for _ in range(int(state["depth"])):
            is_left = values[row, state["feature"][tree, node]] <= state["threshold"][tree, node]
            node = np.where(is_left, state["left"][tree, node], state["right"][tree, node])
        leaves = state["value"][tree, node].reshape(len(values), -1, len(baseline))
        raw[rows] = baseline + leaves.sum(axis=1)
    if len(baseline) == 1:
        raw = np.hstack([np.zeros_like(raw), raw])
    return floored_log(np.exp(log_softmax(raw)))


def majority(state: State, features: np.ndarray, n_classes: int) -> np.ndarray:
    """The same ``shares`` [classes] for every adapter."""
    return np.tile(floored_log(state["shares"]), (len(features), 1))


PREDICTORS: dict[str, Callable[[State, np.ndarray, int], np.ndarray]] = {
    "mlp": mlp,
    "mlp_gated": mlp,
    "ridge": linear,
    "logistic": logistic,
    "knn": knn,
    "kernel": linear,
    "fusion": linear,
    "class_means": linear,
    "trees": trees,
    "permuted": linear,
    "majority": majority,
}


def _chunks(rows: int, entries_per_row: int) -> Iterator[slice]:
    step = max(1, _ENTRIES_AT_ONCE // max(entries_per_row, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
