"""The probe `w2t`: each singular component of each layer becomes a token, and a transformer reads the tokens.

The idea is that of W2T (2026): QR and SVD bring the factors into a canonical form, which the representation
``factors`` holds. What that leaves free, the common sign of u and v, is not fixed by a rule but taken out: a
token is φ(u, v) + φ(−u, −v), as in SignNet (Lim et al. 2023).
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

MASKED = -1e9


@dataclass(frozen=True)
class W2T:
    """The network: ``blocks`` transformer blocks of ``heads`` heads on tokens of ``width`` numbers."""

    layout: Layout
    n_classes: int
    width: int
    blocks: int
    heads: int
    hidden: int

    def draw(self, generator: torch.Generator) -> Parameters:
        """Draw the parameters of one seed."""
        width = self.width
        parameters = {
            **draw_maps(self.layout, width, generator),
            **draw_linear(generator, "token", width, width),
            **draw_linear(generator, "size", 2, width),
            "place": normal(generator, self.layout.n_layers, self.layout.components, width, scale=0.1),
            **draw_head(generator, self.layout.n_layers * width, self.hidden, self.n_classes),
        }
        for block in range(self.blocks):
            parameters |= draw_linear(generator, f"{block}.attend", width, 3 * width)
            parameters |= draw_linear(generator, f"{block}.join", width, width)
            parameters |= draw_linear(generator, f"{block}.wide", width, 2 * width)
            parameters |= draw_linear(generator, f"{block}.narrow", 2 * width, width)
        return parameters

    def logits(self, parameters: Parameters, factors: Factors, keep: Tensor) -> Tensor:
        """Return logits [n, classes]; ``keep`` [n, hidden] is the dropout mask."""
        tokens, present = self._tokens(parameters, factors)
        for block in range(self.blocks):
            tokens = tokens + self._attended(parameters, block, tokens, present)
            wide = functional.gelu(linear(parameters, f"{block}.wide", _normed(tokens)))
            tokens = tokens + linear(parameters, f"{block}.narrow", wide)
        return head(parameters, self._pooled(tokens, present), keep)

    def _tokens(self, parameters: Parameters, factors: Factors) -> tuple[Tensor, Tensor]:
        """Return tokens [n, layers · components, width], and 1 where a component is there, else 0."""
        left = mapped(parameters, "left", self.layout.left, factors.lefts).mT
        right = mapped(parameters, "right", self.layout.right, factors.rights).mT
        even = sum(functional.gelu(linear(parameters, "token", sign * (left + right))) for sign in (1, -1))
        shares = _shares(factors, self.layout)
        sizes = torch.stack([shares, factors.sizes[..., None].expand_as(shares)], dim=-1)
        tokens = even + linear(parameters, "size", sizes) + parameters["place"]
        return tokens.flatten(1, 2), (shares > 0).to(tokens.dtype).flatten(1)

    def _attended(self, parameters: Parameters, block: int, tokens: Tensor, present: Tensor) -> Tensor:
        n, count, width = tokens.shape
        joint = linear(parameters, f"{block}.attend", _normed(tokens))
        query, key, value = joint.reshape(n, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.mT * (width // self.heads) ** -0.5
        weights = torch.softmax(scores + MASKED * (1 - present[:, None, None]), dim=-1)
        return linear(parameters, f"{block}.join", (weights @ value).transpose(1, 2).flatten(2))

    def _pooled(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Return the mean token of each layer, the layers side by side: [n, layers · width]."""
        shape = len(tokens), self.layout.n_layers, self.layout.components
        present = present.reshape(*shape, 1)
        sums = (_normed(tokens).reshape(*shape, self.width) * present).sum(dim=2)
        return (sums / present.sum(dim=2).clamp(min=1)).flatten(1)


def _shares(factors: Factors, layout: Layout) -> Tensor:
    """Return the singular values of ΔW / ‖ΔW‖, [n, layers, components]: the mean square of √d · u √σ."""
    lengths = [x.square().mean(dim=2) for x in factors.lefts]
    return torch.cat(lengths, dim=1)[:, list(layout.left.order)]


def _normed(tokens: Tensor) -> Tensor:
    return functional.layer_norm(tokens, tokens.shape[-1:])
