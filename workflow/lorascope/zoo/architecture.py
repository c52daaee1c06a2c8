"""The UNet's shape as plain data: what the workflow needs to know of it before torch is imported."""

from dataclasses import dataclass
from typing import NamedTuple

ATTENTIONS = ("attn1", "attn2")
TARGETS = ("to_q", "to_v")


class Layer(NamedTuple):
    """One adapted projection: its module path in the UNet and its weight's shape."""

    name: str
    d_out: int
    d_in: int


@dataclass(frozen=True)
class Architecture:
    """The knobs of diffusers' ``UNet2DConditionModel`` that the zoo and Stable Diffusion 1.5 need.

    ``widths`` are the channels per resolution, ``attention`` says which resolutions have transformer blocks.
    """

    widths: tuple[int, ...] = (32, 64)
    attention: tuple[bool, ...] = (True, True)
    resnets: int = 1
    heads: int = 2
    text_width: int = 32
    groups: int = 8
    channels: int = 4

    def diffusers_config(self, sample_size: int) -> dict:
        """Keyword arguments that give the same network as a diffusers ``UNet2DConditionModel``."""
        kinds = [("CrossAttn" if attends else "") for attends in self.attention]
        return {
            "sample_size": sample_size,
            "in_channels": self.channels,
            "out_channels": self.channels,
            "block_out_channels": list(self.widths),
            "down_block_types": [f"{kind}DownBlock2D" for kind in kinds],
            "up_block_types": [f"{kind}UpBlock2D" for kind in reversed(kinds)],
            "layers_per_block": self.resnets,
            # To diffusers this is the number of heads; the name is kept for old checkpoints.
            "attention_head_dim": self.heads,
            "cross_attention_dim": self.text_width,
            "norm_num_groups": self.groups,
        }


STABLE_DIFFUSION_1_5 = Architecture(
    widths=(320, 640, 1280, 1280),
    attention=(True, True, True, False),
    resnets=2,
    heads=8,
    text_width=768,
    groups=32,
)


def adapted_layers(architecture: Architecture) -> list[Layer]:
    """Return ``to_q`` and ``to_v`` of every attention, in the order in which data passes through them."""
    layers = []
    for block, width in _transformer_blocks(architecture):
        for attention in ATTENTIONS:
            for target in TARGETS:
                reads_text = attention == "attn2" and target == "to_v"
                d_in = architecture.text_width if reads_text else width
                layers.append(Layer(f"{block}.{attention}.{target}", width, d_in))
    return layers


def _transformer_blocks(architecture: Architecture) -> list[tuple[str, int]]:
    """Return (module path, channels) of every transformer block."""
    levels = list(zip(architecture.widths, architecture.attention, strict=True))
    places = [
        *(("down_blocks", i, width, architecture.resnets) for i, (width, on) in enumerate(levels) if on),
        ("mid_block", None, architecture.widths[-1], 1),
        *(
            ("up_blocks", i, width, architecture.resnets + 1)
            for i, (width, on) in enumerate(levels[::-1])
            if on
        ),
    ]
    return [
        (f"{part if i is None else f'{part}.{i}'}.attentions.{j}.transformer_blocks.0", width)
        for part, i, width, count in places
        for j in range(count)
    ]
