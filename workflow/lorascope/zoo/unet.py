"""A conditional UNet with diffusers' module names, shapes and outputs, in a fraction of its imports.

Definition: ``UNet2DConditionModel`` of diffusers as configured for Stable Diffusion 1.x (Rombach et al. 2022,
arXiv:2112.10752). A state dict fits both; a test compares the outputs.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lorascope.zoo.architecture import Architecture


class UNet(nn.Module):
    """Predict the noise in latents [n, channels, h, w] at timesteps [n] for texts [n, words, text_width]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        widths, attention = architecture.widths, architecture.attention
        first, last = widths[0], widths[-1]
        self.conv_in = nn.Conv2d(architecture.channels, first, 3, padding=1)
        self.time_embedding = TimeEmbedding(first)
        before = (first, *widths[:-1])
        self.down_blocks = nn.ModuleList(
            DownBlock(architecture, before[i], width, attention[i], is_last=i == len(widths) - 1)
            for i, width in enumerate(widths)
        )
        self.mid_block = MidBlock(architecture, last)
        self.up_blocks = nn.ModuleList(
            UpBlock(
                architecture, widths[min(i + 1, len(widths) - 1)], widths[i], before[i], attention[i], i == 0
            )
            for i in reversed(range(len(widths)))
        )
        self.conv_norm_out = nn.GroupNorm(architecture.groups, first)
        self.conv_out = nn.Conv2d(first, architecture.channels, 3, padding=1)

    def forward(self, latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        time = functional.silu(self.time_embedding(timesteps))
        x = self.conv_in(latents)
        skips = [x]
        for block in self.down_blocks:
            x = block(x, time, text, skips)
        x = self.mid_block(x, time, text)
        for block in self.up_blocks:
            x = block(x, time, text, skips)
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


class TimeEmbedding(nn.Module):
    """Sinusoids of the timestep (cosines first), then two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, 4 * width)
        self.linear_2 = nn.Linear(4 * width, 4 * width)
        half = width // 2
        frequencies = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32) / half)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, timesteps: Tensor) -> Tensor:
        angles = timesteps.float()[:, None] * self.frequencies
        return self.linear_2(functional.silu(self.linear_1(torch.cat([angles.cos(), angles.sin()], dim=1))))


class DownBlock(nn.Module):
    """Residual blocks, each with a transformer if ``attends``, then a downsampling unless it is the last."""

    def __init__(
        self, architecture: Architecture, d_in: int, width: int, attends: bool, is_last: bool
    ) -> None:
        super().__init__()
        count, time_width = architecture.resnets, 4 * architecture.widths[0]
        self.resnets = nn.ModuleList(
            Resnet(architecture, d_in if j == 0 else width, width, time_width) for j in range(count)
        )
        self.attentions = nn.ModuleList(
            Transformer(architecture, width) for _ in range(count if attends else 0)
        )
        self.downsamplers = nn.ModuleList([] if is_last else [Downsampler(width)])

    def forward(self, x: Tensor, time: Tensor, text: Tensor, skips: list[Tensor]) -> Tensor:
        for j, resnet in enumerate(self.resnets):
            x = resnet(x, time)
            if self.attentions:
                x = self.attentions[j](x, text)
            skips.append(x)
        for downsampler in self.downsamplers:
            x = downsampler(x)
            skips.append(x)
        return x


class MidBlock(nn.Module):
    """Residual block, transformer, residual block."""

    def __init__(self, architecture: Architecture, width: int) -> None:
        super().__init__()
        time_width = 4 * architecture.widths[0]
        self.attentions = nn.ModuleList([Transformer(architecture, width)])
        self.resnets = nn.ModuleList(Resnet(architecture, width, width, time_width) for _ in range(2))

    def forward(self, x: Tensor, time: Tensor, text: Tensor) -> Tensor:
        x = self.attentions[0](self.resnets[0](x, time), text)
        return self.resnets[1](x, time)


class UpBlock(nn.Module):
    """As :class:`DownBlock` with one residual block more, each fed a skip connection, and an upsampling."""

    def __init__(
        self, architecture: Architecture, d_in: int, width: int, skip_in: int, attends: bool, is_last: bool
    ) -> None:
        super().__init__()
        count, time_width = architecture.resnets + 1, 4 * architecture.widths[0]
        self.resnets = nn.ModuleList(
            Resnet(
                architecture,
                (d_in if j == 0 else width) + (skip_in if j == count - 1 else width),
                width,
                time_width,
            )
            for j in range(count)
        )
        self.attentions = nn.ModuleList(
            Transformer(architecture, width) for _ in range(count if attends else 0)
        )
        self.upsamplers = nn.ModuleList([] if is_last else [Upsampler(width)])

    def forward(self, x: Tensor, time: Tensor, text: Tensor, skips: list[Tensor]) -> Tensor:
        for j, resnet in enumerate(self.resnets):
            x = resnet(torch.cat([x, skips.pop()], dim=1), time)
            if self.attentions:
                x = self.attentions[j](x, text)
        for upsampler in self.upsamplers:
            x = upsampler(x)
        return x


class Downsampler(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Upsampler(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Resnet(nn.Module):
    """Two convolutions around a shift by the (already activated) time embedding."""

    def __init__(self, architecture: Architecture, d_in: int, d_out: int, time_width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(architecture.groups, d_in)
        self.conv1 = nn.Conv2d(d_in, d_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, d_out)
        self.norm2 = nn.GroupNorm(architecture.groups, d_out)
        self.conv2 = nn.Conv2d(d_out, d_out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(d_in, d_out, 1) if d_in != d_out else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x))) + self.time_emb_proj(time)[:, :, None, None]
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        return hidden + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Transformer(nn.Module):
    """A transformer block over the places of a feature map, with a residual connection around it."""

    def __init__(self, architecture: Architecture, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(architecture.groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(architecture, width)])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        places = self.proj_in(self.norm(x)).flatten(2).mT
        for block in self.transformer_blocks:
            places = block(places, text)
        return x + self.proj_out(places.mT.reshape(x.shape))


class TransformerBlock(nn.Module):
    """Self-attention (``attn1``), cross-attention to the text (``attn2``), feed-forward."""

    def __init__(self, architecture: Architecture, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, width, architecture.heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, architecture.text_width, architecture.heads)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), text)
        return x + self.ff(self.norm3(x))


class Attention(nn.Module):
    """Multi-head attention of x [n, places, width] to context [n, entries, context_width]."""

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        # A list with one entry: diffusers keeps a dropout behind the projection, hence the name "to_out.0".
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = self._split(self.to_q(x)), self._split(self.to_k(context)), self._split(self.to_v(context))
        attended = functional.scaled_dot_product_attention(q, k, v)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Gated GELU (Shazeer 2020, arXiv:2002.05202) with a hidden width of four times the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # diffusers has a dropout at index 1; an Identity keeps the names "net.0.proj" and "net.2".
        self.net = nn.ModuleList([GatedGelu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        for module in self.net:
            x = module(x)
        return x


class GatedGelu(nn.Module):
    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(d_in, 2 * d_out)

    def forward(self, x: Tensor) -> Tensor:
        hidden, gate = self.proj(x).chunk(2, dim=-1)
        return hidden * functional.gelu(gate)
