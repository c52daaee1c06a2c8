"""Many LoRA adapters on one frozen base: each layer's factors stacked, applied by grouped matrix products.

Definition: y = W x + (alpha / rank) B A x, here with alpha = rank (Hu et al. 2021, arXiv:2106.09685).
"""

import copy

import torch
from torch import Tensor, nn

from lorascope.zoo.architecture import Layer
from lorascope.zoo.unet import UNet

Factors = dict[str, tuple[Tensor, Tensor]]
"""Layer name → (A [n, r, d_in], B [n, d_out, r]) of n adapters."""


class StackedLora(nn.Module):
    """A frozen projection and n adapters of it.

    The input [n · m, entries, d_in] holds m samples for each adapter, one adapter after the other.
    """

    def __init__(self, frozen: nn.Linear, A: Tensor, B: Tensor) -> None:
        super().__init__()
        self.frozen, self.A, self.B = frozen, A, B

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.reshape(len(self.A), -1, x.shape[-1])
        update = torch.bmm(torch.bmm(grouped, self.A.mT), self.B.mT)
        return self.frozen(x) + update.view(*x.shape[:-1], -1)


def with_adapters(base: UNet, factors: Factors) -> UNet:
    """Return a frozen copy of ``base`` whose projections carry ``factors``."""
    unet = copy.deepcopy(base).requires_grad_(False)
    for name, (A, B) in factors.items():
        parent, _, child = name.rpartition(".")
        setattr(unet.get_submodule(parent), child, StackedLora(unet.get_submodule(name), A, B))
    return unet


def draw_down(layers: list[Layer], rank: int, init: str, generator: torch.Generator) -> list[Tensor]:
    """Draw one adapter's A per layer: [rank, d_in] each.

    ``kaiming`` is PEFT's default, uniform in ±1 / √d_in; ``gaussian`` is PEFT's other one, with standard
    deviation 1 / rank.
    """
    drawn = []
    for layer in layers:
        A = torch.empty(rank, layer.d_in)
        if init == "gaussian":
            drawn.append(A.normal_(0, 1 / rank, generator=generator))
        else:
            bound = layer.d_in**-0.5
            drawn.append(A.uniform_(-bound, bound, generator=generator))
    return drawn
