"""Conformal prediction sets: which classes an adapter may be of, with a stated coverage."""

import numpy as np


def conformal_threshold(
    probabilities: np.ndarray, truth: np.ndarray, units: np.ndarray, coverage: float
) -> float | None:
    """Return the largest score 1 − p that a class in the set may have.

    Split conformal prediction (Vovk, Gammerman & Shafer 2005) with the score of Sadinle, Lei & Wasserman
    (2019), and with units in place of adapters where several belong together (Lee, Barber & Willett 2025,
    hierarchical conformal prediction): a unit weighs the same however many adapters it has. Over draws of
    calibration units and a new unit that are exchangeable, the set holds the true class with probability
    ``coverage`` or more, whatever the probe is worth, as long as the calibration adapters had no say in it:
    what trained it, or chose it among others, calibrates too boldly.

    Args:
        probabilities: of the calibration adapters, [n, classes].
        truth: their classes, int [n].
        units: of the calibration adapters, int [n]; adapters of one unit belong together.
        coverage: between 0 and 1.

    Returns:
        None where the units are too few for the coverage: every class would be in every set.
    """
    scores = 1 - probabilities[np.arange(len(truth)), truth]
    _, members, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    # The new unit has a share too, and its score may be any.
    weights = 1 / ((len(sizes) + 1) * sizes[members[order]])
    reached = np.flatnonzero(np.cumsum(weights) >= coverage - 1e-9)
    return float(scores[order[reached[0]]]) if len(reached) else None


def conformal_sets(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return which classes are in the sets, bool [n, classes]; the likeliest always is."""
    inside = 1 - probabilities <= threshold
    inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
    return inside
