"""A vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) with norms before each layer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lorascope.errors import LorascopeError

POSITION_STD = 0.02


@dataclass(frozen=True)
class ViTSettings:
    """Sizes; see ``sparse.vit`` in the config schema."""

    patch: int = 4
    width: int = 64
    depth: int = 2
    heads: int = 4
    mlp_ratio: float = 2.0
    dropout: float = 0.1

    def check(self, side: int) -> None:
        """Raise a LorascopeError where the sizes do not fit each other or images of ``side`` pixels."""
        if side % self.patch:
            raise LorascopeError(f"sparse.vit.patch: {self.patch} does not divide the images' side of {side}")
        if self.width % self.heads:
            raise LorascopeError(f"sparse.vit.heads: {self.heads} does not divide the width of {self.width}")


class Block(nn.Module):
    """Attention and a two-layer perceptron, each after a layer norm and beside a residual path."""

    def __init__(self, settings: ViTSettings):
        super().__init__()
        width, hidden = settings.width, int(settings.width * settings.mlp_ratio)
        self.heads, self.dropout = settings.heads, settings.dropout
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_in, self.mlp_out = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [n, tokens, width] to tokens of the same shape."""
        x = x + self._drop(self.attention_out(self._attend(self.attention_norm(x))))
        return x + self._drop(self.mlp_out(functional.gelu(self.mlp_in(self.mlp_norm(x)))))

    def _attend(self, x: Tensor) -> Tensor:
        projected = self.queries_keys_values(x).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)
        # No dropout inside: that would keep the fused kernels from being used.
        return functional.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(-2)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class ViT(nn.Module):
    """Classifier of square images.

    Args:
        settings: sizes.
        channels, side: of the images, in pixels.
        n_classes: number of classes.
    """

    def __init__(self, settings: ViTSettings, channels: int, side: int, n_classes: int):
        super().__init__()
        settings.check(side)
        self.patch, self.dropout = settings.patch, settings.dropout
        tokens = (side // settings.patch) ** 2 + 1
        self.embed = nn.Linear(channels * settings.patch**2, settings.width)
        self.class_token = nn.Parameter(torch.randn(1, 1, settings.width) * POSITION_STD)
        self.positions = nn.Parameter(torch.randn(1, tokens, settings.width) * POSITION_STD)
        self.blocks = nn.Sequential(*(Block(settings) for _ in range(settings.depth)))
        self.norm = nn.LayerNorm(settings.width)
        self.head = nn.Linear(settings.width, n_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits [n, classes] of pixels [n, channels, side, side]."""
        patches = self.embed(self._patches(pixels))
        tokens = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], dim=1) + self.positions
        tokens = self.blocks(functional.dropout(tokens, self.dropout, self.training))
        return self.head(self.norm(tokens[:, 0]))

    def _patches(self, pixels: Tensor) -> Tensor:
        n, channels, side, _ = pixels.shape
        grid, patch = side // self.patch, self.patch
        cut = pixels.view(n, channels, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5)
        return cut.reshape(n, grid * grid, channels * patch * patch)
