"""The probe `knn`: vote of the nearest training adapters."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.data.split import TRAIN
from lorascope.probes.candidates import Candidate, chosen_by_validation, model_log_probabilities
from lorascope.probes.probabilities import State, chunks, floored_log, linear_scores
from lorascope.probes.runs import Part

SEEDLESS = True


def candidates(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """One candidate a number of neighbours."""
    from sklearn.neighbors import KNeighborsClassifier

    train = parts[TRAIN]
    for neighbours in settings["neighbours"]:
        if neighbours <= len(train.classes):
            model = KNeighborsClassifier(neighbours).fit(train.features, train.classes)
            state = {"features": train.features, "classes": train.classes, "neighbours": np.array(neighbours)}
            yield Candidate({"neighbours": neighbours}, model_log_probabilities(model, parts), state)


def log_probabilities(state: State, columns: Sequence[str], features: np.ndarray) -> np.ndarray:
    """Return shares of the classes among the nearest training adapters, whose ``features`` are the state."""
    known = state["features"]
    votes = np.eye(state["classes"].max() + 1)[state["classes"]]
    half_norms = 0.5 * np.einsum("ij,ij->i", known, known, dtype=np.float64)
    shares = np.empty((len(features), votes.shape[1]))
    for rows in chunks(len(features), len(known) + known.shape[1]):
        # Of ‖x − y‖² the part that differs from one y to another.
        far = half_norms - linear_scores(known, features[rows].astype(np.float64).T).T
        nearest = np.argsort(far, axis=1, kind="stable")[:, : int(state["neighbours"])]
        shares[rows] = votes[nearest].mean(axis=1)
    return floored_log(shares)


run = chosen_by_validation(candidates)
