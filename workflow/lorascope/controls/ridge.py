"""Ridge regression of many label sets on many sets of layers, from inner products alone.

With standardised features the inner product of two adapters over a set of layers is the sum of those over its
layers: each layer's features are multiplied once, whatever the number of sets they are drawn into.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lorascope.controls.parts import Split
from lorascope.data.split import TEST, TRAIN, VALIDATION
from lorascope.probes.scaling import Scaling

PARTS = (TRAIN, VALIDATION, TEST)


def inner_products(
    features: np.ndarray, layer_of: np.ndarray, layer_sets: Sequence[np.ndarray], split: Split
) -> Iterator[dict[str, np.ndarray]]:
    """Yield for each set of layers the inner products of every part with the training part.

    Args:
        features: float32 [adapters, features], as they are.
        layer_of: int [features], the layer of each.
        layer_sets: numbers of the layers in each set.

    Yields:
        part → float64 [adapters of the part, training adapters].
    """
    rows = np.concatenate([split.rows[part] for part in PARTS])
    train = split.rows[TRAIN]
    sums = np.zeros((len(layer_sets), len(rows), len(train)), np.float32)
    for layer in np.unique(layer_of):
        own = features[:, layer_of == layer]
        scaling = Scaling.fit(own[train])
        products = scaling.apply(own[rows]) @ scaling.apply(own[train]).T
        for total, members in zip(sums, layer_sets, strict=True):
            if layer in members:
                total += products
    ends = np.cumsum([len(split.rows[part]) for part in PARTS])[:-1]
    for total in sums:
        yield dict(zip(PARTS, np.split(total.astype(np.float64), ends), strict=True))


def ridge_answers(
    products: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    truth: np.ndarray,
    n_classes: int,
    penalties: Sequence[float],
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Fit ±1 targets by least squares with an L2 penalty; validation chooses the penalty of each label set.

    Args:
        products: what :func:`inner_products` yields.
        labels: ``train`` and ``validation`` → class codes [label sets, adapters].
        truth: class codes of the test part.

    Returns:
        Right answers, bool [label sets, test adapters]; validation accuracies [label sets]; penalties.
    """
    sets = len(labels[TRAIN])
    targets = (2.0 * np.eye(n_classes)[labels[TRAIN]] - 1).transpose(1, 0, 2).reshape(-1, sets * n_classes)
    # The intercept is the mean target, because standardised features have none.
    intercepts = targets.mean(axis=0)
    accuracies, named = [], []
    for penalty in penalties:
        factor = cho_factor(products[TRAIN] + penalty * np.eye(len(targets)), check_finite=False)
        dual = cho_solve(factor, targets - intercepts, check_finite=False)
        of_part = {}
        for part in (VALIDATION, TEST):
            scores = (products[part] @ dual + intercepts).reshape(-1, sets, n_classes)
            of_part[part] = scores.argmax(axis=2).T
        accuracies.append((of_part[VALIDATION] == labels[VALIDATION]).mean(axis=1))
        named.append(of_part[TEST])
    best = np.argmax(accuracies, axis=0)
    every = np.arange(sets)
    chosen = [penalties[index] for index in best]
    return np.array(named)[best, every] == truth, np.array(accuracies)[best, every], chosen
