"""The probe `trees`: gradient-boosted trees, one tree a class and iteration."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.data.split import TRAIN
from lorascope.probes.candidates import Candidate, chosen_by_validation
from lorascope.probes.probabilities import State, chunks, floored_log, log_softmax
from lorascope.probes.runs import Part


def candidates(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """One candidate every few trees of one model."""
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
    """Return the first trees of a model as arrays; see :func:`log_probabilities`."""
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


def log_probabilities(state: State, columns: Sequence[str], features: np.ndarray) -> np.ndarray:
    """Return the softmax of the sums of the leaves' values; two classes share one tree an iteration.

    Arrays are [trees, nodes]: ``feature``, ``threshold`` (at most: left), ``left``, ``right``, ``value``; a
    leaf is its own child. ``baseline`` [trees of an iteration]; ``depth`` of the deepest tree.
    """
    baseline, tree = state["baseline"], np.arange(len(state["feature"]))
    raw = np.empty((len(features), len(baseline)))
    for rows in chunks(len(features), 4 * len(tree) + features.shape[1]):
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


run = chosen_by_validation(candidates)
