"""Probes that are fitted in one go: of several candidates the validation part chooses one."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.data.split import TRAIN, VALIDATION
from lorascope.probes.metrics import cross_entropy
from lorascope.probes.probabilities import State, floored_log, linear_scores, log_softmax
from lorascope.probes.runs import Part, Run
from lorascope.probes.schedule import merit
from lorascope.probes.temperature import calibrated_loss


@dataclass(frozen=True)
class Candidate:
    """A fitted model: its hyper-parameter, log-probabilities [n, classes] of each part, and its arrays."""

    chosen: dict[str, float]
    log_probabilities: dict[str, np.ndarray]
    state: State


Candidates = Callable[[dict[str, Part], dict, int], Iterator[Candidate]]


def chosen_by_validation(candidates: Candidates) -> Callable[..., Iterator[Run]]:
    """Return the ``run`` of a probe whose module lists the candidates of a seed."""

    def run(
        parts: dict[str, Part],
        n_classes: int,
        settings: dict,
        seeds: Sequence[int],
        device: str = "cpu",
        threads: int = 1,
    ) -> Iterator[Run]:
        for seed in seeds:
            started = time.perf_counter()
            best = max(candidates(parts, settings, seed), key=lambda found: _merit(found, parts))
            scores = best.log_probabilities
            accuracy, _ = _merit(best, parts)
            yield Run(
                seed,
                train_loss=[cross_entropy(scores[TRAIN], parts[TRAIN].classes)],
                validation_loss=[cross_entropy(scores[VALIDATION], parts[VALIDATION].classes)],
                validation_accuracy=[accuracy],
                best_epoch=1,
                seconds=time.perf_counter() - started,
                log_probabilities=scores,
                chosen=best.chosen,
                state=best.state,
            )

    return run


def _merit(candidate: Candidate, parts: dict[str, Part]) -> tuple[float, float]:
    """Compare at the temperature of each, because the scores of some are no probabilities at all."""
    scores, truth = candidate.log_probabilities[VALIDATION], parts[VALIDATION].classes
    return merit(float((scores.argmax(axis=1) == truth).mean()), calibrated_loss(scores, truth))


def linear_candidate(
    chosen: dict[str, float], parts: dict[str, Part], weights: np.ndarray, bias: np.ndarray
) -> Candidate:
    """Turn ``weights`` [features, classes] and ``bias`` [classes] into a candidate."""
    scores = {name: log_softmax(linear_scores(part.features, weights) + bias) for name, part in parts.items()}
    return Candidate(chosen, scores, {"weights": weights, "bias": bias})


def model_log_probabilities(model, parts: dict[str, Part]) -> dict[str, np.ndarray]:
    """Return part → log-probabilities of a scikit-learn model."""
    return {
        name: floored_log(model.predict_proba(part.features).astype(float)) for name, part in parts.items()
    }
