"""``uniform``: a random share of every batch, whatever is in it."""

import torch
from torch import Tensor

from lorascope.gates.base import Candidates, Gate, Quota, mean_of_active


class Uniform(Gate):
    """The control of every gate: as many samples, chosen blindly. Unbiased."""

    def __init__(self, samples: int, rate: float, device: str = "cpu"):
        super().__init__(samples, rate, device)
        self.quota = Quota(rate)

    def score(self, candidates: Candidates) -> Tensor:
        return torch.ones(len(candidates), device=self.device)

    def select(self, scores: Tensor, candidates: Candidates, generator: torch.Generator) -> Tensor:
        order = torch.randperm(len(candidates), generator=generator, device=self.device)
        return order[: self.quota.next(len(candidates))].sort().values

    def weights(self, scores: Tensor, active: Tensor) -> Tensor:
        return mean_of_active(len(scores), active)

    def state_dict(self) -> dict[str, Tensor]:
        return {"quota": self.quota.state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.quota.load(state["quota"])


GATE = Uniform
