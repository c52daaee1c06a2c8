"""The probe `class_means`: nearest class mean by Mahalanobis distance, which also tells what is foreign."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.data.split import TEST, TRAIN
from lorascope.probes.candidates import Candidate, chosen_by_validation, linear_candidate
from lorascope.probes.probabilities import linear_log_probabilities
from lorascope.probes.runs import Part, Run

SEEDLESS = True
SEED = 42


@dataclass(frozen=True)
class ClassMeans:
    """Class means and one covariance for all classes, in leading principal components.

    Attributes:
        centre: mean of the training features, float64 [features].
        axes: principal components, float64 [components, features].
        means: float64 [classes, components].
        precision: inverse of the covariance within classes, shrunk as Ledoit & Wolf (2004), float64
            [components, components].
    """

    centre: np.ndarray
    axes: np.ndarray
    means: np.ndarray
    precision: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, classes: np.ndarray, components: int) -> "ClassMeans":
        """Fit to features [n, features] of classes [n], every class from 0 on present."""
        from sklearn.covariance import LedoitWolf
        from sklearn.decomposition import PCA

        most = min(components, *features.shape)
        # It divides by the total variance, 0 where no feature differs; what comes out is not asked for.
        with np.errstate(invalid="ignore"):
            reduced = PCA(most, random_state=SEED).fit(features.astype(np.float64))
        places = reduced.transform(features.astype(np.float64))
        means = np.array([places[classes == code].mean(axis=0) for code in range(classes.max() + 1)])
        within = LedoitWolf(assume_centered=True).fit(places - means[classes])
        return cls(reduced.mean_, reduced.components_, means, within.precision_)

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Return weights [features, classes] and bias [classes]: −½ squared distance plus a common term."""
        weights = self.axes.T @ (self.precision @ self.means.T)
        offset = 0.5 * np.einsum("ci,ij,cj->c", self.means, self.precision, self.means)
        return weights, -offset - self.centre @ weights

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return squared Mahalanobis distances to the class means, float64 [n, classes]."""
        places = (features - self.centre) @ self.axes.T
        gaps = places[:, None] - self.means
        return np.einsum("nci,ij,ncj->nc", gaps, self.precision, gaps)


def candidates(parts: dict[str, Part], settings: dict, seed: int) -> Iterator[Candidate]:
    """One candidate a number of principal components."""
    train = parts[TRAIN]
    for components in settings["components"]:
        model = ClassMeans.fit(train.features, train.classes, components)
        weights, bias = model.linear()
        yield linear_candidate({"components": components}, parts, weights, bias)


def run(
    parts: dict[str, Part], n_classes: int, settings: dict, seeds: Sequence[int], device: str, threads: int
) -> Iterator[Run]:
    """Fit, and measure how well what is foreign is told by its distance."""
    for found in chosen_by_validation(candidates)(parts, n_classes, settings, seeds):
        found.foreign_auroc = foreign_auroc(parts, found.chosen["components"])
        yield found


def foreign_auroc(parts: dict[str, Part], components: int) -> float | None:
    """How well the distance to the nearest class mean tells adapters of a class that was never shown.

    Each class in turn is taken out of the training part and the rest fitted anew; test adapters of that class
    are the foreign ones, all other test adapters the known ones.

    Returns:
        Area under the ROC curve, mean over the classes; None where fewer than three classes can take turns.
    """
    from sklearn.metrics import roc_auc_score

    train, test = parts[TRAIN], parts[TEST]
    tested = [
        code for code in np.unique(train.classes) if 0 < (test.classes == code).sum() < len(test.classes)
    ]
    if len(tested) < 3:
        return None
    areas = []
    for code in tested:
        known = train.classes != code
        classes = np.unique(train.classes[known], return_inverse=True)[1]
        model = ClassMeans.fit(train.features[known], classes, components)
        areas.append(roc_auc_score(test.classes == code, model.distances(test.features).min(axis=1)))
    return float(np.mean(areas))


log_probabilities = linear_log_probabilities
