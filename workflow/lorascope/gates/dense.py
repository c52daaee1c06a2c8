"""``dense``: every sample, always."""

import torch
from torch import Tensor

from lorascope.gates.base import Candidates, Gate


class Dense(Gate):
    """Plain training: what every other gate is held against; the rate is 1."""

    def __init__(self, samples: int, rate: float, device: str = "cpu"):
        super().__init__(samples, 1.0, device)

    def score(self, candidates: Candidates) -> Tensor:
        return torch.ones(len(candidates), device=self.device)

    def select(self, scores: Tensor, candidates: Candidates, generator: torch.Generator) -> Tensor:
        return torch.arange(len(candidates), device=self.device)

    def weights(self, scores: Tensor, active: Tensor) -> Tensor:
        return torch.ones(len(active), device=self.device)


GATE = Dense
