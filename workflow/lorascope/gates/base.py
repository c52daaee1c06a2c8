"""What every gate is asked and what it answers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import nan
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Candidates:
    """What a gate sees before the training step.

    Attributes:
        rows: [n] int64, the samples' numbers in the training part.
        progress: share of the training that is done, in [0, 1).
        losses: [n], from a scoring pass; only for a gate with ``needs_losses``.
        spread: [n], standard deviation of each sample's inputs; only for a gate with ``needs_spread``.
        span: share of the training that these candidates are: a batch, or a whole epoch.
    """

    rows: Tensor
    progress: float
    losses: Tensor | None = None
    spread: Tensor | None = None
    span: float = 0.0

    def __len__(self) -> int:
        return len(self.rows)


class Gate(ABC):
    """Chooses which of a batch's samples are trained on: ``score`` → ``select`` → ``weights`` → ``update``.

    A step's loss is Σ wᵢ·lossᵢ over the active samples, divided by the number of candidates. A gate is
    unbiased if the expectation of its gradient is the gradient of the mean over all candidates.

    Args:
        samples: number of training samples.
        rate: share of the samples to activate, in (0, 1]; ``dense`` and ``infobatch`` have their own.
        device: where the tensors are.

    Attributes:
        needs_losses: a forward pass over all candidates comes first; it is paid for and accounted.
        needs_spread: the candidates bring the spread of their inputs.
        whole_epoch: chooses once an epoch among all samples, instead of batch by batch.
        threshold: what a score had to exceed last; NaN for a gate without one.
        energy_store: what is left in the model store; NaN for a gate without one.
    """

    needs_losses: ClassVar[bool] = False
    needs_spread: ClassVar[bool] = False
    whole_epoch: ClassVar[bool] = False
    threshold: float = nan
    energy_store: float = nan

    def __init__(self, samples: int, rate: float, device: str = "cpu"):
        self.samples, self.rate, self.device = samples, rate, device

    @abstractmethod
    def score(self, candidates: Candidates) -> Tensor:
        """Return how much each candidate matters, [n] ≥ 0."""

    @abstractmethod
    def select(self, scores: Tensor, candidates: Candidates, generator: torch.Generator) -> Tensor:
        """Return the positions of the active candidates, ascending; there may be none."""

    @abstractmethod
    def weights(self, scores: Tensor, active: Tensor) -> Tensor:
        """Return what the loss of each active sample is multiplied with, as long as ``active``."""

    def update(self, candidates: Candidates, active: Tensor, losses: Tensor) -> None:  # noqa: B027
        """Learn from a finished step: the losses [active] that it saw, and how many were active."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a checkpoint must hold."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Take over what :meth:`state_dict` returned."""


class Quota:
    """Whole numbers of samples a batch whose sum stays within one of ``rate`` times all candidates."""

    def __init__(self, rate: float):
        self.rate = rate
        self.seen = self.taken = 0

    def next(self, candidates: int) -> int:
        """Return how many of the next ``candidates`` to take."""
        self.seen += candidates
        # The 1e-9 keeps 0.3 · 10 from being rounded down to 2.
        count = int(self.rate * self.seen + 1e-9) - self.taken
        self.taken += count
        return count

    def state(self) -> Tensor:
        return torch.tensor([self.seen, self.taken])

    def load(self, state: Tensor) -> None:
        self.seen, self.taken = state.tolist()


def mean_of_active(candidates: int, active: Tensor) -> Tensor:
    """Return weights that turn the step's loss into the plain mean over the active samples."""
    return torch.full((len(active),), candidates / max(len(active), 1), device=active.device)


def draw_by_share(shares: Tensor, generator: torch.Generator) -> Tensor:
    """Draw positions, each with exactly its own probability: systematic sampling (Madow 1949).

    The number drawn differs from Σ shares by less than one, so a step's cost is steady.

    Args:
        shares: [n], probabilities in [0, 1].
        generator: of the device of ``shares``.
    """
    offset = torch.rand((), generator=generator, device=shares.device, dtype=torch.float64)
    # Summed in float64: in float32 the last of many candidates would lose their own shares.
    steps = torch.floor(shares.double().cumsum(0) + offset)
    return torch.nonzero(steps.diff(prepend=torch.zeros_like(steps[:1]))).flatten()
