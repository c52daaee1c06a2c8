"""Split-conformal prediction sets: which classes an adapter may be of, with a stated coverage."""

import math

import numpy as np


def conformal_threshold(probabilities: np.ndarray, truth: np.ndarray, coverage: float) -> float:
    """Return the largest score 1 − p that a class in the set may have.

    Split conformal prediction (Vovk, Gammerman & Shafer 2005) with the score of Sadinle, Lei & Wasserman
    (2019): over draws of calibration adapters and a new adapter that are exchangeable, the set holds the true
    class with probability ``coverage`` or more, whatever the probe is worth.

    Args:
        probabilities: of the calibration adapters, [n, classes].
        truth: their classes, int [n].
        coverage: between 0 and 1.

    Returns:
        Infinity where there are too few calibration adapters for the coverage: every class is in the set.
    """
    scores = np.sort(1 - probabilities[np.arange(len(truth)), truth])
    position = math.ceil((len(scores) + 1) * coverage)
    return float(scores[position - 1]) if position <= len(scores) else math.inf


def conformal_sets(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return which classes are in the sets, bool [n, classes]; the likeliest always is."""
    inside = 1 - probabilities <= threshold
    inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
    return inside
