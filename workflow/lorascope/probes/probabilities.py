"""From scores to probabilities, and a linear probe's answers. numpy only."""

from collections.abc import Iterator, Sequence

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
    for rows in chunks(len(features), features.shape[1]):
        scores[rows] = features[rows].astype(np.float64) @ weights
    return scores


def linear_log_probabilities(state: State, columns: Sequence[str], features: np.ndarray) -> np.ndarray:
    """Return the log-softmax of linear scores: ``weights`` [features, classes] and ``bias`` [classes]."""
    return log_softmax(linear_scores(features, state["weights"]) + state["bias"])


def chunks(rows: int, entries_per_row: int) -> Iterator[slice]:
    """Cut rows into slices whose temporary arrays fit into memory."""
    step = max(1, _ENTRIES_AT_ONCE // max(entries_per_row, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
