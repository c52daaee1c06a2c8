"""Ridge regression in closed form, its penalty chosen by leaving one adapter out at a time."""

from collections.abc import Sequence

import numpy as np

# What is below this share of the largest eigenvalue is rounding.
_ROUNDING = 1e-12


def targets_of(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return one column a class, 1 where an adapter is of it and −1 elsewhere, float64 [n, n_classes]."""
    return 2.0 * np.eye(n_classes)[classes] - 1


def ridge_scores(
    train: np.ndarray, targets: np.ndarray, other: np.ndarray, penalties: Sequence[float]
) -> tuple[np.ndarray, float]:
    """Fit every column of ``targets`` to the features of training adapters and predict it for others.

    The intercept is free of the penalty. The penalty is the one with the least squared error when each
    training adapter is predicted from the rest, which costs no further fit (Golub, Heath & Wahba 1979).

    Args:
        train: float64 [n, p].
        targets: float64 [n, classes].
        other: float64 [m, p].
        penalties: candidates, above 0.

    Returns:
        Scores float64 [m, classes], and the penalty.
    """
    if train.shape[1] > len(train):
        return kernel_ridge_scores(train @ train.T, targets, other @ train.T, penalties)
    mean = train.mean(axis=0)
    centred = train - mean
    values, vectors = np.linalg.eigh(centred.T @ centred)
    return _scores(centred @ vectors, values, targets, (other - mean) @ vectors, penalties)


def kernel_ridge_scores(
    kernel: np.ndarray, targets: np.ndarray, other: np.ndarray, penalties: Sequence[float]
) -> tuple[np.ndarray, float]:
    """Do the same from inner products: ``kernel`` [n, n] of training adapters, ``other`` [m, n] with them."""
    mean = kernel.mean(axis=0)
    centred = kernel - mean - mean[:, None] + mean.mean()
    values, vectors = np.linalg.eigh(centred)
    present = values > _ROUNDING * values[-1]
    values, vectors = values[present], vectors[:, present]
    roots = np.sqrt(values)
    # A constant added to a row of `other` falls out: centred eigenvectors sum to 0.
    return _scores(vectors * roots, values, targets, (other - mean) @ vectors / roots, penalties)


def _scores(
    seen: np.ndarray, values: np.ndarray, targets: np.ndarray, other: np.ndarray, penalties: Sequence[float]
) -> tuple[np.ndarray, float]:
    """Fit in the coordinates in which the training part's second moments are diagonal: ``values`` [k]."""
    level = targets.mean(axis=0)
    centred = targets - level
    moments = seen.T @ centred
    errors = [_left_out_error(seen, 1 / (values + penalty), moments, centred) for penalty in penalties]
    penalty = penalties[int(np.argmin(errors))]
    return level + other @ (moments / (values + penalty)[:, None]), float(penalty)


def _left_out_error(seen: np.ndarray, shrunk: np.ndarray, moments: np.ndarray, targets: np.ndarray) -> float:
    leverages = 1 / len(seen) + np.square(seen) @ shrunk
    residuals = targets - seen @ (shrunk[:, None] * moments)
    # A leverage of 1 means that an adapter alone decides its own prediction: nothing is left to compare.
    return float(np.square(residuals / np.maximum(1 - leverages, _ROUNDING)[:, None]).mean())
