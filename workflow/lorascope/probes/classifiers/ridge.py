"""The probe `ridge`: least squares on ±1 targets with an L2 penalty."""

from collections.abc import Iterator

import numpy as np

from lorascope.data.split import TRAIN
from lorascope.probes.candidates import Candidate, chosen_by_validation, linear_candidate
from lorascope.probes.probabilities import linear_log_probabilities
from lorascope.probes.runs import Part

SEEDLESS = True


def candidates(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """One candidate a penalty."""
    from sklearn.linear_model import RidgeClassifier

    for penalty in settings["penalties"]:
        model = RidgeClassifier(alpha=penalty).fit(parts[TRAIN].features, parts[TRAIN].classes)
        weights, bias = _two_sided(np.atleast_2d(model.coef_).T), _two_sided(np.atleast_2d(model.intercept_))
        yield linear_candidate({"penalty": penalty}, parts, weights.astype(np.float64), bias[0])


def _two_sided(scores: np.ndarray) -> np.ndarray:
    """Return one column a class also for two classes, where scikit-learn gives one in all."""
    return np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


run = chosen_by_validation(candidates)
log_probabilities = linear_log_probabilities
