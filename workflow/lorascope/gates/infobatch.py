"""``infobatch``: skip half of the samples below the mean loss, and let the other half count twice."""

import torch
from torch import Tensor

from lorascope.gates.base import Candidates, Gate

PRUNED_SHARE = 0.5
# The last eighth of the training sees everything again, so that what the pruning skewed evens out.
ANNEAL_FROM = 0.875
ROUNDING = 1e-9


class InfoBatch(Gate):
    """InfoBatch (Qin et al. 2024, arXiv:2303.04947), with the paper's ratio 0.5 and annealing from 0.875.

    A score is the loss of the sample's last step; before its first, a sample is not pruned. At the start of
    an epoch half of the samples below the mean score are skipped, and those of them that stay count double.
    The rate follows from the losses: the target is not used.
    """

    whole_epoch = True

    def __init__(self, samples: int, rate: float, device: str = "cpu"):
        super().__init__(samples, rate, device)
        self.losses = torch.full((samples,), torch.inf, device=device)

    def score(self, candidates: Candidates) -> Tensor:
        return self.losses[candidates.rows]

    def select(self, scores: Tensor, candidates: Candidates, generator: torch.Generator) -> Tensor:
        seen = scores.isfinite()
        # The epoch's end counts, as in the paper: of 6 epochs the last lies in the last eighth.
        late = candidates.progress + candidates.span > ANNEAL_FROM + ROUNDING
        if late or not seen.any():
            self.threshold = 0.0
            return torch.arange(len(candidates), device=self.device)
        self.threshold = scores[seen].mean().item()
        below = torch.nonzero(scores < self.threshold).flatten()
        order = torch.randperm(len(below), generator=generator, device=self.device)
        kept = torch.ones(len(candidates), dtype=torch.bool, device=self.device)
        kept[below[order[: int(PRUNED_SHARE * len(below))]]] = False
        return torch.nonzero(kept).flatten()

    def weights(self, scores: Tensor, active: Tensor) -> Tensor:
        """As in the paper the mean is over the survivors of a batch, hence the common factor."""
        below = scores < self.threshold
        kept = below[active].sum().clamp(min=1)
        weights = torch.where(below[active], below.sum() / kept, 1.0)
        return weights * (len(scores) / max(len(active), 1))

    def update(self, candidates: Candidates, active: Tensor, losses: Tensor) -> None:
        self.losses[candidates.rows[active]] = losses

    def state_dict(self) -> dict[str, Tensor]:
        return {"losses": self.losses, "threshold": torch.tensor(self.threshold, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.losses.copy_(state["losses"])
        self.threshold = state["threshold"].item()


GATE = InfoBatch
