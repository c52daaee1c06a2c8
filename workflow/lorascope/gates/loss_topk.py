"""``loss_topk``: the samples of the largest loss in every batch, after a forward pass over all of it."""

import torch
from torch import Tensor

from lorascope.gates.base import Candidates, Gate, Quota, mean_of_active


class LossTopK(Gate):
    """Selective backprop (Jiang et al. 2019, arXiv:1910.00762) at a fixed rate: the hardest of each batch.

    Biased on purpose: an active sample counts once, whatever its chances were.
    """

    needs_losses = True

    def __init__(self, samples: int, rate: float, device: str = "cpu"):
        super().__init__(samples, rate, device)
        self.quota = Quota(rate)

    def score(self, candidates: Candidates) -> Tensor:
        return candidates.losses

    def select(self, scores: Tensor, candidates: Candidates, generator: torch.Generator) -> Tensor:
        count = self.quota.next(len(candidates))
        # Stable, so that equal losses do not depend on the device's way of sorting.
        active = scores.sort(descending=True, stable=True).indices[:count].sort().values
        if count:
            self.threshold = scores[active].min().item()
        return active

    def weights(self, scores: Tensor, active: Tensor) -> Tensor:
        return mean_of_active(len(scores), active)

    def state_dict(self) -> dict[str, Tensor]:
        return {"quota": self.quota.state(), "threshold": torch.tensor(self.threshold, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.quota.load(state["quota"])
        self.threshold = state["threshold"].item()


GATE = LossTopK
