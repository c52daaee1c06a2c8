"""What a finished study says about adapter files that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.data.split import TEST, TRAIN
from lorascope.features.file_weights import FittedFile
from lorascope.probes.saved import SavedProbe
from lorascope.stats.conformal import conformal_sets, conformal_threshold
from lorascope.study.file_features import file_features, layer_of
from lorascope.study.finished import FinishedCell, FinishedStudy

COVERAGE = 0.9
# A norm is outside what the probe saw when it is this many times beyond the range of the training adapters.
NORM_MARGIN = 2.0
# A probability of 0 has no logarithm.
LEAST = 1e-300


@dataclass(frozen=True)
class LayerEffect:
    """What one layer contributes: the log-odds (nats) that the likeliest class loses without it."""

    layer: str
    loss: float


@dataclass(frozen=True)
class Card:
    """What the study says about one file.

    Attributes:
        path: the file.
        predicted: the likeliest class.
        probabilities: class → probability, the mean over seeds.
        conformal_set: classes that it may be of at ``COVERAGE``, the likeliest first; None where the study
            cannot tell (:class:`Calibration`).
        layers: by what they contribute, the largest first.
        warnings: how the file lies outside what the probe saw.
    """

    path: str
    predicted: str
    probabilities: dict[str, float]
    conformal_set: list[str] | None
    layers: list[LayerEffect]
    warnings: list[str]


@dataclass(frozen=True)
class Calibration:
    """What conformal sets rest on: the test part, the only one that neither trained nor chose a cell.

    Attributes:
        threshold: see :func:`lorascope.stats.conformal.conformal_threshold`; None where coverage is not
            measurable, because the units are too few or because every part is the whole data set.
        n: independent units of the test part.
        unit: what they are, "adapter" or "group".
    """

    threshold: float | None
    n: int
    unit: str


def predict_files(study: FinishedStudy, cell: FinishedCell, files: Sequence[FittedFile]) -> list[Card]:
    """Return a card for each file.

    Args:
        study: a finished study.
        cell: one of its cells.
        files: what :func:`lorascope.study.file_features.fit_files` made of them for the cell's layers.

    Raises:
        LorascopeError: the study's files cannot be read.
    """
    probes = study.probes(cell)
    columns = probes[0].card.columns
    layers = list(dict.fromkeys(map(layer_of, columns)))
    features = file_features(study, cell.representation, columns, files)
    probabilities = mean_prediction(probes, features)
    threshold = calibrate(study, cell).threshold
    inside = None if threshold is None else conformal_sets(probabilities, threshold)
    outside = _unseen_norms(study, files, layers)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return [
        Card(
            path=file.path,
            predicted=study.classes[order[row, 0]],
            probabilities={study.classes[place]: float(probabilities[row, place]) for place in order[row]},
            conformal_set=(
                None if inside is None else [study.classes[at] for at in order[row] if inside[row, at]]
            ),
            layers=_effects(probes, features[row], layers, columns, order[row, 0]),
            warnings=[*file.warnings, *outside[row]],
        )
        for row, file in enumerate(files)
    ]


def mean_prediction(probes: Sequence[SavedProbe], features: np.ndarray) -> np.ndarray:
    """Return the mean of the probes' probabilities, float64 [n, classes]."""
    return np.mean([probe.predict(features) for probe in probes], axis=0)


def log_odds(probabilities: np.ndarray, named: int) -> np.ndarray:
    """Return ln p / (1 − p) of one class, float64 [n]: it tells layers apart also where p is nearly 1."""
    others = np.delete(probabilities, named, axis=1).sum(axis=1)
    own = probabilities[:, named]
    return np.log(np.maximum(own, LEAST)) - np.log(np.maximum(others, LEAST))


def calibrate(study: FinishedStudy, cell: FinishedCell) -> Calibration:
    """Calibrate conformal sets on the study's test part."""
    adapters = study.tested()
    n = len(adapters.unit_sizes)
    if adapters.sanity:
        return Calibration(None, n, adapters.unit)
    probabilities = cell.probabilities(TEST, len(study.classes))
    threshold = conformal_threshold(probabilities, adapters.truth[TEST], adapters.test_units, COVERAGE)
    return Calibration(threshold, n, adapters.unit)


def _effects(
    probes: Sequence[SavedProbe],
    features: np.ndarray,
    layers: Sequence[str],
    columns: Sequence[str],
    named: int,
) -> list[LayerEffect]:
    """Return what the log-odds lose when a layer's features are those of the mean training adapter."""
    owner = np.array([layers.index(layer_of(column)) for column in columns])
    mean = probes[0].scaling.mean.astype(np.float32)
    without = np.where(owner == np.arange(len(layers))[:, None], mean, features)
    odds = log_odds(mean_prediction(probes, np.vstack([features, without])), named)
    losses = odds[0] - odds[1:]
    effects = [LayerEffect(layer, float(loss)) for layer, loss in zip(layers, losses, strict=True)]
    return sorted(effects, key=lambda effect: -effect.loss)


def _unseen_norms(
    study: FinishedStudy, files: Sequence[FittedFile], layers: Sequence[str]
) -> list[list[str]]:
    """Return for each file a warning where ‖ΔW‖ of layers lies far outside that of training adapters."""
    rows = study.part(TRAIN)
    seen = {layer: norms[rows] for layer, norms in study.norms(layers).items()}
    return [_norm_warning(file, seen) for file in files]


def _norm_warning(file: FittedFile, seen: dict[str, np.ndarray]) -> list[str]:
    low = [layer for layer, norms in seen.items() if file.norms[layer] < norms.min() / NORM_MARGIN]
    high = [layer for layer, norms in seen.items() if file.norms[layer] > norms.max() * NORM_MARGIN]
    lines = []
    for layers, words in ((low, "smaller"), (high, "larger")):
        if layers:
            lines.append(
                f"in {len(layers)} of {len(seen)} layers the update is over {NORM_MARGIN:g} times {words} "
                f"than all that the probe saw, first {layers[0]}"
            )
    return lines
