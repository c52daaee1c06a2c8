"""The probe `logistic`: multinomial logistic regression with an L2 penalty."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.data.split import TRAIN
from lorascope.probes.candidates import Candidate, chosen_by_validation, model_log_probabilities
from lorascope.probes.probabilities import State, floored_log, linear_log_probabilities
from lorascope.probes.runs import Part

SEEDLESS = True


def candidates(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """One candidate a penalty; each starts where the last one ended."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(warm_start=True, max_iter=settings["iterations"], tol=1e-3)
    for inverse_penalty in sorted(settings["inverse_penalties"]):
        model.set_params(C=inverse_penalty).fit(parts[TRAIN].features, parts[TRAIN].classes)
        weights, bias = model.coef_.T.astype(np.float64), model.intercept_.copy()
        if len(bias) == 1:
            # Of two classes the first has score 0.
            weights, bias = weights * [0, 1], bias * [0, 1]
        state = {"weights": weights, "bias": bias}
        yield Candidate({"inverse_penalty": inverse_penalty}, model_log_probabilities(model, parts), state)


def log_probabilities(state: State, columns: Sequence[str], features: np.ndarray) -> np.ndarray:
    """Return the softmax of linear scores, no class without probability."""
    return floored_log(np.exp(linear_log_probabilities(state, columns, features)))


run = chosen_by_validation(candidates)
