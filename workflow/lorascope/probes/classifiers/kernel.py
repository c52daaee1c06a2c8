"""The probe `kernel`: kernel ridge on the inner products of the features as they are, as the kernel's map."""

from collections.abc import Iterator

import numpy as np

from lorascope.data.split import TRAIN
from lorascope.probes.candidates import Candidate, chosen_by_validation, linear_candidate
from lorascope.probes.closed_form import targets_of
from lorascope.probes.probabilities import linear_log_probabilities, linear_scores
from lorascope.probes.runs import Part

SEEDLESS = True
# Standardising would change which inner products are measured.
STANDARDISED = False


def candidates(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """One candidate a penalty."""
    from sklearn.kernel_ridge import KernelRidge

    # Squares of very large or small features leave float32; a power of two rounds nothing.
    exponent = np.frexp(np.abs(parts[TRAIN].features).max())[1]
    train = np.ldexp(parts[TRAIN].features, -exponent)
    targets = targets_of(parts[TRAIN].classes, int(parts[TRAIN].classes.max()) + 1)
    products = (train @ train.T).astype(np.float64)
    # Penalties count in units of the mean squared norm, so that they mean the same for every representation.
    unit = float(np.trace(products)) / len(train) or 1.0
    for penalty in settings["penalties"]:
        model = KernelRidge(alpha=penalty, kernel="precomputed").fit(products / unit, targets)
        # Products with all training adapters, summed with the dual coefficients: products with one vector.
        weights = np.ldexp(linear_scores(train.T, model.dual_coef_ / unit), -exponent)
        yield linear_candidate({"penalty": penalty}, parts, weights, np.zeros(targets.shape[1]))


run = chosen_by_validation(candidates)
log_probabilities = linear_log_probabilities
