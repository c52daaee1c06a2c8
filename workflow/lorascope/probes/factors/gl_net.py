"""The probe `gl_net`: equivariant layers on (B, A), then an invariant head.

The idea is that of Putterman, Lim, Gelberg, Jegelka & Maron, "Learning on LoRAs" (2024): linear maps from the
left commute with every change of basis (B G⁻¹, G A), gates that are themselves invariant keep that so, and
the product of both sides is invariant.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lorascope.probes.factors.blocks import (
    Parameters,
    draw_head,
    draw_linear,
    draw_maps,
    head,
    linear,
    mapped,
    normal,
)
from lorascope.probes.factors.layout import Factors, Layout


@dataclass(frozen=True)
class GLNet:
    """The network; ``depth`` counts the equivariant layers."""

    layout: Layout
    n_classes: int
    width: int
    depth: int
    encoded: int
    hidden: int

    def draw(self, generator: torch.Generator) -> Parameters:
        """Draw the parameters of one seed."""
        layers, width = self.layout.n_layers, self.width
        deeper = {
            f"deeper.{side}.{depth}": normal(generator, layers, width, width, scale=width**-0.5)
            for depth in range(1, self.depth)
            for side in ("left", "right")
        }
        return {
            **draw_maps(self.layout, width, generator),
            **deeper,
            **draw_linear(generator, "encode", width**2 + 1, self.encoded, layers=layers),
            **draw_head(generator, layers * self.encoded, self.hidden, self.n_classes),
        }

    def logits(self, parameters: Parameters, factors: Factors, keep: Tensor) -> Tensor:
        """Return logits [n, classes]; ``keep`` [n, hidden] is the dropout mask."""
        left = mapped(parameters, "left", self.layout.left, factors.lefts)
        right = mapped(parameters, "right", self.layout.right, factors.rights)
        for depth in range(1, self.depth):
            left, right = gated(left, right)
            left, right = (
                torch.einsum("nlik,lio->nlok", x, parameters[f"deeper.{side}.{depth}"])
                for side, x in (("left", left), ("right", right))
            )
        invariant = (left @ right.mT).flatten(2)
        encoded = linear(parameters, "encode", torch.cat([invariant, factors.sizes[..., None]], dim=2))
        return head(parameters, functional.gelu(encoded).flatten(1), keep)


def gated(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Weigh every row of both sides [..., width, components] by an invariant of its own: a nonlinearity."""
    return (
        left * torch.sigmoid(left @ right.sum(dim=-2, keepdim=True).mT),
        right * torch.sigmoid(right @ left.sum(dim=-2, keepdim=True).mT),
    )
