"""``free_loss``: importance sampling by losses that earlier steps computed anyway."""

import torch
from torch import Tensor

from lorascope.gates.base import Candidates, Gate, draw_by_share

# Share of the activations given out evenly: no probability is too small to be divided by, none forgotten.
EVEN_SHARE = 0.3
# How far the rate starts above its mean and ends below it. Early steps are the long ones, and what they see
# they see for the first time; late in training most samples have next to nothing left to say.
FALL = 0.6
CLIP_ROUNDS = 8


class FreeLoss(Gate):
    """Unbiased importance sampling without a scoring pass.

    The score of a sample is ``1 − exp(−loss)`` of its last training step: the probability that the model gave
    to other classes. Times √2 it bounds the gradient of the loss by the logits, and so what the sample can
    do to the weights (cf. Katharopoulos & Fleuret 2018, arXiv:1803.00942). A sample is activated with
    probability p ∝ even share + score, and counts 1/p. Before its first step it has the mean score of the
    others. Σp is a share of the batch that falls in the course of the training, around a mean of ``rate``.
    """

    def __init__(self, samples: int, rate: float, device: str = "cpu"):
        super().__init__(samples, rate, device)
        self.scores = torch.full((samples,), torch.nan, device=device)

    def score(self, candidates: Candidates) -> Tensor:
        """Return the probabilities of activation."""
        known = self.scores[candidates.rows]
        seen = ~known.isnan()
        mean = known[seen].mean() if seen.any() else torch.ones((), device=self.device)
        relative = torch.where(seen, known, mean) / mean.clamp(min=1e-6)
        return shares(EVEN_SHARE + (1 - EVEN_SHARE) * relative, self.rate_at(candidates.progress))

    def rate_at(self, progress: float) -> float:
        """Return the share to activate: it falls in a line with the progress, around a mean of ``rate``."""
        fall = min(FALL, 1 / self.rate - 1)
        return self.rate * (1 + fall * (1 - 2 * progress))

    def select(self, scores: Tensor, candidates: Candidates, generator: torch.Generator) -> Tensor:
        return draw_by_share(scores, generator)

    def weights(self, scores: Tensor, active: Tensor) -> Tensor:
        return 1 / scores[active]

    def update(self, candidates: Candidates, active: Tensor, losses: Tensor) -> None:
        self.scores[candidates.rows[active]] = -torch.expm1(-losses)

    def state_dict(self) -> dict[str, Tensor]:
        return {"scores": self.scores}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.scores.copy_(state["scores"])


def shares(scores: Tensor, rate: float) -> Tensor:
    """Return probabilities ∝ scores, at most 1, of mean ``rate``; what is cut off goes to the others."""
    target = rate * len(scores)
    scaled = scores * (target / scores.sum())
    for _ in range(CLIP_ROUNDS):
        full = scaled >= 1
        rest = target - full.sum()
        scaled = torch.where(
            full, 1.0, scaled * (rest / torch.where(full, 0.0, scaled).sum().clamp(min=1e-12))
        )
    return scaled.clamp(max=1)


GATE = FreeLoss
