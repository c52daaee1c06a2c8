"""Scores of runs: from a confusion matrix, or from the scores of the classes."""

import numpy as np


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Return counts [n_classes, n_classes]: rows are the truth, columns the prediction."""
    return np.bincount(truth * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def macro_scores(confusion: np.ndarray) -> dict[str, float]:
    """Return accuracy and macro-averaged F1, precision and recall.

    A class that is never predicted has precision 0, one that never occurs is left out of the averages
    (scikit-learn's ``zero_division=0`` over the labels that occur).
    """
    hits = np.diag(confusion).astype(float)
    actual, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    present = actual > 0
    precision = _ratio(hits, predicted)[present]
    recall = _ratio(hits, actual)[present]
    f1 = _ratio(2 * hits, actual + predicted)[present]
    return {
        "accuracy": float(hits.sum() / confusion.sum()),
        "f1": float(f1.mean()),
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator, dtype=float), where=denominator > 0)


def auroc(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Macro average of the one-versus-rest areas under the ROC curve, over the classes that occur.

    Each area is Mann and Whitney's (1947) U over the number of pairs; NaN when only one class occurs.

    Args:
        scores: (…, n, classes) probabilities, or anything that rises with them.
        truth: (n,) class codes.
    """
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=-2)
    members = truth[:, None] == np.arange(scores.shape[-1])
    positives = members.sum(axis=0)
    pairs = positives * (len(truth) - positives)
    wins = np.einsum("...nc,nc->...c", ranks, members) - positives * (positives + 1) / 2
    if not pairs.any():
        return np.full(scores.shape[:-2], np.nan)
    return (wins[..., pairs > 0] / pairs[pairs > 0]).mean(axis=-1)


def cross_entropy(log_probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean negative log-likelihood (nats) of the true classes; input [n, n_classes]."""
    # Subtracted from 0, because the negative of 0 is −0.
    return float(0.0 - log_probabilities[np.arange(len(truth)), truth].mean(dtype=np.float64))
