"""One number a run that makes its probabilities mean what they say, learnt from the validation part.

Temperature scaling (Guo, Pleiss, Sun & Weinberger 2017): log-probabilities are divided by a temperature above
0 and normalised again, so that no answer changes. Two additions are for small validation parts, which probes
often name without a mistake; there the likeliest temperature is 0, which is to be certain of everything:

- Beside the validation adapters stand two more that were never seen, of which the probe names one rightly and
  takes the other for its second choice (each an average over the validation adapters): the rule of succession
  (Laplace 1814). After n right answers out of n, confidence settles near (n + 1) / (n + 2).
- What is reported of the validation part itself is cross-fitted: the temperature of an adapter's answer comes
  from the other folds.
"""

import numpy as np

from lorascope.data.split import VALIDATION
from lorascope.probes.metrics import cross_entropy
from lorascope.probes.probabilities import log_softmax
from lorascope.probes.runs import Part, Run

FOLDS = 5
# However little a probe knows, its likeliest class stays the likeliest by a difference that float32 can tell.
LEAST_GAP = 0.01
_ITERATIONS, _TOLERANCE = 100, 1e-12


def fit_temperature(log_probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature with the least penalised cross-entropy, a convex problem of one dimension.

    Args:
        log_probabilities: [n, classes], or any scores of which they are the log-softmax.
        truth: int [n].

    Returns:
        The temperature; 1 where there is nothing to fit: no adapter, or none with a likeliest class.
    """
    if not len(truth):
        return 1.0
    shifted = log_probabilities - log_probabilities.max(axis=1, keepdims=True).astype(np.float64)
    second = float(np.partition(shifted, -2, axis=1)[:, -2].mean()) if shifted.shape[1] > 1 else 0.0
    if not second:
        return 1.0
    named = float(shifted[np.arange(len(truth)), truth].sum())
    weight = 1 + 2 / len(truth)

    def slopes(sharpness: float) -> tuple[float, float]:
        """Return first and second derivative of the loss by 1 / temperature."""
        probabilities = np.exp(log_softmax(sharpness * shifted))
        means = (probabilities * shifted).sum(axis=1)
        variances = (probabilities * np.square(shifted)).sum(axis=1) - np.square(means)
        return weight * means.sum() - named - second, weight * variances.sum()

    return 1 / _root(slopes, LEAST_GAP / -second)


def _root(slopes, least: float) -> float:
    """Return where a rising first derivative is 0, or ``least`` if that is below: Newton inside a bracket."""
    low, high = least, 2 * least
    while slopes(high)[0] < 0:
        low, high = high, 2 * high
    place = (low + high) / 2
    for _ in range(_ITERATIONS):
        first, second = slopes(place)
        low, high = (place, high) if first < 0 else (low, place)
        newton = place - first / second if second > 0 else low
        new = newton if low < newton < high else (low + high) / 2
        if abs(new - place) <= _TOLERANCE * place:
            return new
        place = new
    return place


def tempered(log_probabilities: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """Return log-probabilities at a temperature, or at one a row, float64 [n, classes]."""
    return log_softmax(log_probabilities / np.reshape(temperature, (-1, 1)).astype(np.float64))


def cross_fitted(log_probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return a temperature for each adapter, float64 [n], fitted to the adapters of the other folds.

    Each class is spread over the folds.
    """
    folds = np.empty(len(truth), int)
    folds[np.argsort(truth, kind="stable")] = np.arange(len(truth)) % FOLDS
    temperatures = np.empty(len(truth))
    for fold in np.unique(folds):
        others = folds != fold
        temperatures[~others] = fit_temperature(log_probabilities[others], truth[others])
    return temperatures


def calibrated_loss(log_probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the cross-entropy (nats) at the temperature fitted to the same adapters."""
    return cross_entropy(tempered(log_probabilities, fit_temperature(log_probabilities, truth)), truth)


def calibrated(run: Run, parts: dict[str, Part]) -> Run:
    """Fit a run's temperature to the validation part and apply it to the log-probabilities of every part."""
    truth = parts[VALIDATION].classes
    run.temperature = fit_temperature(run.log_probabilities[VALIDATION], truth)
    own = dict.fromkeys(run.log_probabilities, run.temperature)
    own[VALIDATION] = cross_fitted(run.log_probabilities[VALIDATION], truth)
    run.log_probabilities = {
        name: tempered(values, own[name]) for name, values in run.log_probabilities.items()
    }
    return run
