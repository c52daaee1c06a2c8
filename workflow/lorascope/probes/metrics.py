"""Scores of one run, from its confusion matrix."""

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


def cross_entropy(log_probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean negative log-likelihood (nats) of the true classes; input [n, n_classes]."""
    return float(-log_probabilities[np.arange(len(truth)), truth].mean(dtype=np.float64))
