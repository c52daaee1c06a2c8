"""The probe `mvprobe`: several invariant views of every update, each encoded, then put together.

The idea is that of MVProbe (2026): beside the product of both sides, which is of first order in ΔW, look at
the Gram matrices of each side, which are of second order. Gram matrices of balanced factors, U S Uᵀ and
V S Vᵀ, do not depend on the basis either.
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
    upper_triangle,
)
from lorascope.probes.factors.layout import Factors, Layout

VIEWS = ("product", "left_gram", "right_gram")


@dataclass(frozen=True)
class MVProbe:
    """The network."""

    layout: Layout
    n_classes: int
    width: int
    encoded: int
    hidden: int

    def draw(self, generator: torch.Generator) -> Parameters:
        """Draw the parameters of one seed."""
        layers, width = self.layout.n_layers, self.width
        triangle = width * (width + 1) // 2
        sizes = dict(zip(VIEWS, (width**2, triangle, triangle), strict=True))
        encoders = [
            draw_linear(generator, view, n + 1, self.encoded, layers=layers) for view, n in sizes.items()
        ]
        return {
            **draw_maps(self.layout, width, generator),
            **{name: tensor for encoder in encoders for name, tensor in encoder.items()},
            **draw_head(generator, len(VIEWS) * layers * self.encoded, self.hidden, self.n_classes),
        }

    def logits(self, parameters: Parameters, factors: Factors, keep: Tensor) -> Tensor:
        """Return logits [n, classes]; ``keep`` [n, hidden] is the dropout mask."""
        left = mapped(parameters, "left", self.layout.left, factors.lefts)
        right = mapped(parameters, "right", self.layout.right, factors.rights)
        views = {
            "product": (left @ right.mT).flatten(2),
            "left_gram": upper_triangle(left @ left.mT),
            "right_gram": upper_triangle(right @ right.mT),
        }
        encoded = [
            functional.gelu(linear(parameters, name, torch.cat([view, factors.sizes[..., None]], dim=2)))
            for name, view in views.items()
        ]
        return head(parameters, torch.cat(encoded, dim=2).flatten(1), keep)
