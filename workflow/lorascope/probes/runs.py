"""What every probe is given and what it hands back."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Part:
    """Features, float32 [n, features], and classes, int64 [n], of one part of the split.

    ``columns`` names the features, ``<layer>.<side>/<feature>``; most probes do not care.
    """

    features: np.ndarray
    classes: np.ndarray
    columns: tuple[str, ...] = ()


@dataclass
class Run:
    """One finished training run.

    Attributes:
        seed: what its randomness started from.
        train_loss, validation_loss, validation_accuracy: one value an epoch; a probe that is fitted in one go
            has one epoch.
        best_epoch: the epoch that was kept, from 1.
        seconds: of training and scoring.
        log_probabilities: part → [n, classes] of the best epoch.
        chosen: hyper-parameters that the validation part chose.
        foreign_auroc: how well the probe tells adapters of a class that it was never shown; None where it has
            no score for that.
        state: the arrays that make up the trained probe.
        temperature: that ``log_probabilities`` are at; None while they are as the probe was trained.
    """

    seed: int
    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    best_epoch: int = -1
    seconds: float = 0.0
    log_probabilities: dict[str, np.ndarray] = field(default_factory=dict)
    chosen: dict[str, float] = field(default_factory=dict)
    foreign_auroc: float | None = None
    state: dict[str, np.ndarray] = field(default_factory=dict)
    temperature: float | None = None

    @property
    def epochs(self) -> int:
        """Number of epochs trained."""
        return len(self.validation_accuracy)
