"""Scores of a cell's runs from their probabilities: discrimination and calibration, all seeds at once.

Throughout, ``probabilities`` are (seeds, adapters, classes) and ``truth`` is (adapters,) class codes.
"""

import numpy as np

from lorascope.probes.metrics import auroc

# Guo et al. (2017), "On calibration of modern neural networks".
CALIBRATION_BINS = 15
TOP = 3
SCORES = ("top3_accuracy", "auroc", "mcc", "ece", "brier", "confidence")


def probability_scores(
    probabilities: np.ndarray, truth: np.ndarray, confusions: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each of ``SCORES`` as (seeds,) values.

    Args:
        confusions: (seeds, classes, classes) counts, rows are the truth.
    """
    confidence = probabilities.max(axis=2).astype(np.float64)
    right = probabilities.argmax(axis=2) == truth
    values = (
        top_accuracy(probabilities, truth),
        auroc(probabilities, truth),
        mcc(confusions),
        ece(confidence, right),
        brier(probabilities, truth),
        confidence.mean(axis=1),
    )
    return dict(zip(SCORES, values, strict=True))


def top_accuracy(probabilities: np.ndarray, truth: np.ndarray, top: int = TOP) -> np.ndarray:
    """Share of adapters whose class is among the ``top`` most probable; a tie counts against it."""
    of_truth = _of_truth(probabilities, truth)
    others_first = (probabilities >= of_truth[..., None]).sum(axis=2) - 1
    return (others_first < top).mean(axis=1)


def mcc(confusions: np.ndarray) -> np.ndarray:
    """Matthews' correlation for several classes (Gorodkin 2004); 0 where one side never varies."""
    counts = confusions.astype(np.float64)
    total = counts.sum(axis=(1, 2))
    actual, named = counts.sum(axis=2), counts.sum(axis=1)
    covariance = np.einsum("scc->s", counts) * total - (actual * named).sum(axis=1)
    variances = (total**2 - (actual**2).sum(axis=1)) * (total**2 - (named**2).sum(axis=1))
    return np.divide(covariance, np.sqrt(variances), out=np.zeros_like(covariance), where=variances > 0)


def brier(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Brier's (1950) score for several classes: mean squared distance to the truth, 0 to 2."""
    squares = (probabilities.astype(np.float64) ** 2).sum(axis=2)
    return (squares - 2 * _of_truth(probabilities, truth) + 1).mean(axis=1)


def ece(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Expected calibration error (Guo et al. 2017) of each seed.

    Args:
        confidence, right: (seeds, adapters) probability of the named class, and whether it is the true one.

    Bins with few adapters bias it upwards: compare cells that were tested on the same number only.
    """
    seeds, adapters = confidence.shape
    bins = _bins(confidence) + CALIBRATION_BINS * np.arange(seeds)[:, None]
    surplus = np.bincount(bins.ravel(), (confidence - right).ravel(), minlength=seeds * CALIBRATION_BINS)
    return np.abs(surplus).reshape(seeds, CALIBRATION_BINS).sum(axis=1) / adapters


def reliability(probabilities: np.ndarray, truth: np.ndarray, units: np.ndarray) -> dict[str, np.ndarray]:
    """Reliability curve over all seeds.

    Args:
        units: (adapters,) codes of the units that adapters belong to.

    Returns:
        One value per bin that is not empty: ``bin`` (from 0), ``adapters`` (mean number per seed),
        ``confidence`` and ``accuracy`` (means), and ``units``: right answers and answers in the bin, (units,)
        each, of those units that have any.
    """
    confidence = probabilities.max(axis=2).astype(np.float64)
    right = probabilities.argmax(axis=2) == truth
    bins = _bins(confidence)
    cells = (bins * (units.max() + 1) + units).ravel()
    by_unit = [
        np.bincount(cells, weights, CALIBRATION_BINS * (units.max() + 1)).reshape(CALIBRATION_BINS, -1)
        for weights in (right.ravel(), None)
    ]
    hits, counts = (of_units.sum(axis=1) for of_units in by_unit)
    sums = np.bincount(bins.ravel(), confidence.ravel(), CALIBRATION_BINS)
    filled = np.flatnonzero(counts)
    return {
        "bin": filled,
        "adapters": counts[filled] / len(probabilities),
        "confidence": sums[filled] / counts[filled],
        "accuracy": hits[filled] / counts[filled],
        "units": [tuple(each[place][by_unit[1][place] > 0] for each in by_unit) for place in filled],
    }


def _of_truth(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return probabilities[:, np.arange(len(truth)), truth].astype(np.float64)


def _bins(confidence: np.ndarray) -> np.ndarray:
    """Equal-width bins, closed on the right as in the definition."""
    return np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
