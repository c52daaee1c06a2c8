"""The probe `fusion`: a ridge for each group of layers, their scores averaged (late fusion)."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorascope.adapters.layer_sets import group_of
from lorascope.data.split import TRAIN
from lorascope.features.read import matrix_of
from lorascope.probes.candidates import Candidate, chosen_by_validation, linear_candidate
from lorascope.probes.closed_form import targets_of
from lorascope.probes.probabilities import linear_log_probabilities
from lorascope.probes.runs import Part

SEEDLESS = True


def candidates(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """Ridge on ±1 targets, one a group, with one penalty for all; one candidate a penalty.

    A group has one voice however many features it holds: a wide or loud one cannot drown the others.
    Penalties count in units of the group's mean squared row length. The mean of linear scores is linear.
    """
    train = parts[TRAIN]
    targets = targets_of(train.classes, int(train.classes.max()) + 1)
    groups = [
        _Group(train.features[:, own], targets) for own in column_groups(train.columns, settings["groups"])
    ]
    order = np.argsort(np.concatenate(column_groups(train.columns, settings["groups"])))
    for penalty in settings["penalties"]:
        weights = [group.weights(penalty) for group in groups]
        shifts = [group.mean @ own for group, own in zip(groups, weights, strict=True)]
        bias = targets.mean(axis=0) - np.sum(shifts, axis=0) / len(groups)
        together = np.concatenate(weights)[order] / len(groups)
        yield linear_candidate({"penalty": penalty}, parts, together, bias)


def column_groups(columns: Sequence[str], grouping: str) -> list[np.ndarray]:
    """Return the positions of each group's columns, ``<layer>.<side>/<feature>``, in order of appearance."""
    owners = [group_of(matrix_of(column).rpartition(".")[0], grouping) for column in columns]
    names = list(dict.fromkeys(owners))
    codes = np.array([names.index(owner) for owner in owners])
    return [np.flatnonzero(codes == code) for code in range(len(names))]


class _Group:
    """The eigenvectors of one group's inner products, from which every penalty's weights follow."""

    def __init__(self, features: np.ndarray, targets: np.ndarray):
        self.mean = features.mean(axis=0, dtype=np.float64)
        self._centred = features - self.mean
        kernel = self._centred @ self._centred.T
        self._unit = float(np.trace(kernel)) / len(kernel) or 1.0
        self._values, self._vectors = np.linalg.eigh(kernel)
        self._moments = self._vectors.T @ (targets - targets.mean(axis=0))

    def weights(self, penalty: float) -> np.ndarray:
        """Return float64 [features, classes]."""
        shrunk = self._moments / (np.maximum(self._values, 0) + penalty * self._unit)[:, None]
        return self._centred.T @ (self._vectors @ shrunk)


run = chosen_by_validation(candidates)
log_probabilities = linear_log_probabilities
