"""What a probe that knows nothing would score: the permutation baseline."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lorascope.stats.intervals import BATCH_VALUES, RESAMPLING_SEED

PERMUTATIONS = 1999
# Between them lies the accuracy of a probe that knows nothing, in 95 of 100 cases.
HIGH_QUANTILE = 0.975


@dataclass(frozen=True)
class Baseline:
    """Test accuracy when labels are permuted among the tested units.

    Attributes:
        unit: what the labels were permuted among, "adapter" or "group".
        mean, high: mean and 97.5 % quantile of the accuracy under permuted labels.
        p: one-sided; at least 1 / (``PERMUTATIONS`` + 1).
    """

    unit: str
    mean: float
    high: float
    p: float


def permutation_baseline(named: np.ndarray, truth: np.ndarray, units: np.ndarray, unit: str) -> Baseline:
    """Permute the true classes ``PERMUTATIONS`` times and score the same answers against them.

    Args:
        named: (adapters, classes) share of the seeds that name each class.
        truth: (adapters,) class codes.
        units: (adapters,) unit of each adapter; permuted as a whole where all its adapters are of one class,
            else (a unit of several classes has no label of its own) adapters are permuted one by one.
        unit: what a unit is.

    The probe is not trained again: the test asks whether its answers depend on the class at all (the first
    test of Ojala & Garriga 2010, on held-out adapters).
    """
    _, first = np.unique(units, return_index=True)
    of_unit = truth[first]
    if not np.array_equal(of_unit[units], truth):
        unit, units, of_unit = "adapter", np.arange(len(truth)), truth
    scores = np.zeros((len(of_unit), named.shape[1]))
    np.add.at(scores, units, named / len(truth))
    rows = np.arange(len(of_unit))
    result = stats.permutation_test(
        (of_unit,),
        lambda permuted, axis: scores[rows, permuted].sum(axis=axis),
        permutation_type="pairings",
        n_resamples=PERMUTATIONS,
        vectorized=True,
        batch=max(1, BATCH_VALUES // len(of_unit)),
        alternative="greater",
        rng=np.random.default_rng(RESAMPLING_SEED),
    )
    null = result.null_distribution
    return Baseline(unit, float(null.mean()), float(np.quantile(null, HIGH_QUANTILE)), float(result.pvalue))
