"""``sundew``: significance against a threshold that a controller moves, as far as the energy store allows."""

import torch
from torch import Tensor

from lorascope.errors import LorascopeError
from lorascope.gates.base import Candidates, Gate, mean_of_active

LOSS_SHARE, SPREAD_SHARE = 0.7, 0.3
LARGEST_RATIO = 2.0
GATE_TEMPERATURE = 0.15
ACTIVATION_THRESHOLD = 0.6
KP, KI = 0.12, 0.008
# Of the activation rate, a batch: a memory of about three batches, short against the controller's own period.
SMOOTHING = 0.7
ENERGY_PRESSURE = 0.3
STORE_MAX = 100.0
REFILL_LOW, REFILL_HIGH = 1.0, 3.0
ACTIVATION_COST, SKIP_COST = 10.0, 0.1
LARGEST_RATE = ((REFILL_LOW + REFILL_HIGH) / 2 - SKIP_COST) / (ACTIVATION_COST - SKIP_COST)


class Sundew(Gate):
    """Adaptive gate: significance s, temperature T, threshold θ under a PI controller, energy store E.

    ``s = 0.7·clip(loss/mean, 0, 2)/2 + 0.3·clip(spread/mean, 0, 2)/2``, means over the batch; active with
    probability ``sigmoid((s − θ′)/T)`` where ``s > θ′ = θ + 0.3·(1 − E/100)`` and the store can pay for it.
    After a batch ``θ ← clip(θ + kp·e + ki·Σe, 0, 1)``, e the smoothed activation rate minus the target; Σe
    stands still while θ is at a bound and e pushes on (anti-windup). Biased on purpose: an active sample
    counts once.

    Args:
        samples, device: as of every gate.
        rate: the controller's target.

    Raises:
        LorascopeError: the store cannot sustain ``rate``.
    """

    needs_losses = True
    needs_spread = True

    def __init__(self, samples: int, rate: float, device: str = "cpu"):
        super().__init__(samples, rate, device)
        if rate > LARGEST_RATE:
            raise LorascopeError(
                f"gate sundew: a rate of {rate:g} needs more energy than the store is refilled with; "
                f"use at most {LARGEST_RATE:.3f}"
            )
        self.threshold, self.energy_store = ACTIVATION_THRESHOLD, STORE_MAX
        self.smoothed_rate, self.error_sum = rate, 0.0

    def score(self, candidates: Candidates) -> Tensor:
        loss, spread = _relative(candidates.losses), _relative(candidates.spread)
        return LOSS_SHARE * loss + SPREAD_SHARE * spread

    def select(self, scores: Tensor, candidates: Candidates, generator: torch.Generator) -> Tensor:
        pressed = self.threshold + ENERGY_PRESSURE * (1 - self.energy_store / STORE_MAX)
        drawn = torch.rand(2, len(scores), generator=generator, device=self.device)
        probability = torch.sigmoid((scores - pressed) / GATE_TEMPERATURE)
        wanted = torch.nonzero((scores > pressed) & (drawn[0] < probability)).flatten()
        refill = (REFILL_LOW + (REFILL_HIGH - REFILL_LOW) * drawn[1]).sum().item()
        return wanted[: self._pay(len(scores), len(wanted), refill)]

    def _pay(self, candidates: int, wanted: int, refill: float) -> int:
        """Settle a batch (refill, skips, activations) and return how many activations the store pays for."""
        balance = self.energy_store + refill - SKIP_COST * candidates
        affordable = min(wanted, int(balance / (ACTIVATION_COST - SKIP_COST)))
        self.energy_store = min(STORE_MAX, balance - affordable * (ACTIVATION_COST - SKIP_COST))
        return affordable

    def weights(self, scores: Tensor, active: Tensor) -> Tensor:
        return mean_of_active(len(scores), active)

    def update(self, candidates: Candidates, active: Tensor, losses: Tensor) -> None:
        rate = len(active) / len(candidates)
        self.smoothed_rate = SMOOTHING * self.smoothed_rate + (1 - SMOOTHING) * rate
        error = self.smoothed_rate - self.rate
        pushes_on = (self.threshold >= 1 and error > 0) or (self.threshold <= 0 and error < 0)
        if not pushes_on:
            self.error_sum += error
        self.threshold = min(max(self.threshold + KP * error + KI * self.error_sum, 0.0), 1.0)

    def state_dict(self) -> dict[str, Tensor]:
        values = [self.threshold, self.energy_store, self.smoothed_rate, self.error_sum]
        return {"controller": torch.tensor(values, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.threshold, self.energy_store, self.smoothed_rate, self.error_sum = state["controller"].tolist()


def _relative(values: Tensor) -> Tensor:
    """Return values over their mean, clipped to [0, 2] and halved; zeros where the mean is 0."""
    mean = values.mean()
    return (values / torch.where(mean > 0, mean, 1.0)).clip(0, LARGEST_RATIO) / LARGEST_RATIO


GATE = Sundew
