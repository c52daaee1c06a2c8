"""What training costs: floating-point operations, and the model energy that gates are compared in."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from lorascope.gates.sundew import ACTIVATION_COST, SKIP_COST

# The cost of a batch is proportional to its size; two samples show it as well as any.
COUNTED_SAMPLES = 2


@dataclass(frozen=True)
class SampleCost:
    """Floating-point operations of one sample: a product and a sum are two."""

    forward: int
    backward: int


def count_flops(model: nn.Module, shape: tuple[int, ...]) -> SampleCost:
    """Count the matrix products of one sample with torch's FLOP counter.

    Args:
        model: maps [n, *shape] to logits.
        shape: of one sample.
    """
    # Both imports bring the compiler's front end: two seconds.
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    device = next(model.parameters()).device
    pixels = torch.zeros(COUNTED_SAMPLES, *shape, device=device)
    classes = torch.zeros(COUNTED_SAMPLES, dtype=torch.long, device=device)
    # The counter does not know the fused attention of CPUs; written out, it is the same products.
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        sdpa_kernel(SDPBackend.MATH),
    ):
        with FlopCounterMode(display=False) as forward:
            loss = functional.cross_entropy(model(pixels), classes)
        with FlopCounterMode(display=False) as backward:
            torch.autograd.grad(loss, list(model.parameters()))
    counts = [counter.get_total_flops() // COUNTED_SAMPLES for counter in (forward, backward)]
    return SampleCost(*counts)


@dataclass
class Tally:
    """What one epoch did.

    Attributes:
        trained, skipped: samples that a step trained on, and candidates that none did.
        scored: samples of scoring passes.
        loss_sum: of the trained samples.
        seconds: of training, scoring and gating included; evaluation and checkpoints are not.
        cpu_seconds: the same, of this process's CPU time.
    """

    trained: int = 0
    skipped: int = 0
    scored: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def row(self, cost: SampleCost) -> dict[str, float | int | None]:
        """Return the epoch's columns that follow from these counts."""
        candidates = self.trained + self.skipped
        return {
            "train_loss": self.loss_sum / self.trained if self.trained else None,
            "activation_rate": self.trained / candidates,
            "samples_trained": self.trained,
            "samples_skipped": self.skipped,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "flops_forward": cost.forward * self.trained,
            "flops_backward": cost.backward * self.trained,
            "flops_scoring": cost.forward * self.scored,
            "energy_used": ACTIVATION_COST * self.trained + SKIP_COST * self.skipped,
            "energy_dense": ACTIVATION_COST * candidates,
        }
