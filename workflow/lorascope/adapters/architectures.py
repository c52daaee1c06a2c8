"""Layers and shapes of a known base model."""

from lorascope.adapters.names import DOWN, UP, MatrixInfo

# (UNet block, number of attentions): SD 1.5 has no attention in down_blocks.3 and up_blocks.0.
SD15_BLOCKS = (
    ("down_blocks.0", 2, 320),
    ("down_blocks.1", 2, 640),
    ("down_blocks.2", 2, 1280),
    ("mid_block", 1, 1280),
    ("up_blocks.1", 3, 1280),
    ("up_blocks.2", 3, 640),
    ("up_blocks.3", 3, 320),
)
SD15_TEXT_WIDTH = 768


def sd15_shapes(projections: tuple[str, ...] = ("to_q", "to_v")) -> dict[str, tuple[int, int]]:
    """Return layer path → (d_out, d_in) of the attention projections of Stable Diffusion 1.5's UNet.

    In cross-attention, ``to_k`` and ``to_v`` read the text embedding (width 768).
    """
    shapes = {}
    for block, attentions, channels in SD15_BLOCKS:
        for index in range(attentions):
            for attention in ("attn1", "attn2"):
                for projection in projections:
                    reads_text = attention == "attn2" and projection in ("to_k", "to_v")
                    layer = f"{block}.attentions.{index}.transformer_blocks.0.{attention}.{projection}"
                    shapes[layer] = (channels, SD15_TEXT_WIDTH if reads_text else channels)
    return shapes


def published_matrices() -> list[MatrixInfo]:
    """Return the 128 matrices of the published data sets: rank 1, ``to_q`` and ``to_v``."""
    return [
        matrix
        for layer, (d_out, d_in) in sd15_shapes().items()
        for matrix in (
            MatrixInfo(f"{layer}.lora.down.weight", layer, DOWN, 1, d_in),
            MatrixInfo(f"{layer}.lora.up.weight", layer, UP, d_out, 1),
        )
    ]
