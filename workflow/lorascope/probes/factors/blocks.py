"""Pieces of the networks: what is drawn at the start, maps of the factors, the head."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lorascope.probes.factors.layout import Layout, Side

Parameters = dict[str, Tensor]


def normal(generator: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Draw normal numbers of a standard deviation."""
    return scale * torch.randn(shape, generator=generator, device=generator.device)


def draw_maps(layout: Layout, width: int, generator: torch.Generator) -> Parameters:
    """Draw a linear map [layers, height, width] of each side, for each group of layers.

    What it makes of entries of size 1 is about 1 in size. A step of Adam moves every weight by the same
    amount, and the map by √height of that: in other units its step size would be another than the head's.
    """
    sides = {"left": layout.left, "right": layout.right}
    return {
        f"{name}.{group}": normal(generator, count, height, width, scale=height**-0.5)
        for name, side in sides.items()
        for group, (count, height) in enumerate(zip(side.counts, side.heights, strict=True))
    }


def mapped(parameters: Parameters, name: str, side: Side, tensors: Sequence[Tensor]) -> Tensor:
    """Map one side of every layer: [n, layers, width, components], layers in their order.

    A linear map from the left commutes with every change of basis of the factors: it is equivariant.
    """
    parts = [
        torch.einsum("nldk,ldh->nlhk", x, parameters[f"{name}.{group}"]) for group, x in enumerate(tensors)
    ]
    return torch.cat(parts, dim=1)[:, list(side.order)]


def draw_linear(generator: torch.Generator, name: str, *shape: int, layers: int = 0) -> Parameters:
    """Draw a linear layer ``shape`` = (in, out), or one for each of ``layers`` layers."""
    lead = (layers,) if layers else ()
    weight = normal(generator, *lead, *shape, scale=shape[0] ** -0.5)
    return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(*lead, shape[1], device=generator.device)}


def linear(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    """Apply a linear layer to the last axis of x; to x [n, layers, in] each layer's own if drawn so."""
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    if weight.ndim == 3:
        return torch.einsum("nli,lio->nlo", x, weight) + bias
    return x @ weight + bias


def draw_head(generator: torch.Generator, inputs: int, hidden: int, n_classes: int) -> Parameters:
    """Draw the head: a hidden layer, then the classes."""
    return {
        **draw_linear(generator, "hidden", inputs, hidden),
        **draw_linear(generator, "classes", hidden, n_classes),
    }


def head(parameters: Parameters, x: Tensor, keep: Tensor) -> Tensor:
    """Return logits [n, classes] of x [n, inputs]; ``keep`` [n, hidden] is the dropout mask."""
    x = functional.layer_norm(x, x.shape[-1:])
    return linear(parameters, "classes", functional.gelu(linear(parameters, "hidden", x)) * keep)


def upper_triangle(square: Tensor) -> Tensor:
    """Return the entries on and above the diagonal of [..., h, h], one after the other."""
    rows, cols = torch.triu_indices(square.shape[-1], square.shape[-1], device=square.device)
    return square[..., rows, cols]
