"""Which base model an adapter was trained on, guessed from what only that model has."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.adapters.formats.text import plain

# Width of the text that cross-attention reads: it tells the Stable Diffusion UNets apart.
_UNET_OF_TEXT_WIDTH = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}
_SD_WIDTHS = {"down_blocks.0": 320, "down_blocks.1": 640, "down_blocks.2": 1280, "mid_block": 1280}
_UNET = re.compile(r"^(down_blocks\.\d|mid_block|up_blocks\.\d)\.attentions\.")
_TRANSFORMERS = (
    ("FLUX.1", re.compile(r"(^|\.)(single_transformer_blocks|double_blocks|single_blocks)\.\d")),
    ("Stable Diffusion 3", re.compile(r"(^|\.)(joint_blocks\.\d|transformer_blocks\.\d+\.attn\.add_q_proj)")),
)
_SAID_IN_HEADER = ("ss_base_model_version", "modelspec.architecture", "ss_sd_model_name")


def guess_base_model(
    modules: Mapping[str, Any], metadata: Mapping[str, str], configs: Sequence[Any]
) -> str | None:
    """Return the base model that the layers fit, else what the file itself says, else None.

    Names and shapes come first: what trainers write into the header is often the wrong default.
    """
    return _from_layers(modules) or _from_text(metadata, configs)


def _from_layers(modules: Mapping[str, Any]) -> str | None:
    for name, pattern in _TRANSFORMERS:
        if any(pattern.search(layer) for layer in modules):
            return name
    unet = {layer: module.sizes for layer, module in modules.items() if _UNET.match(layer)}
    attentions = {layer: sizes for layer, sizes in unet.items() if re.search(r"attn[12]\.to_[qkv]$", layer)}
    if not attentions or not all(_is_sd_width(layer, sizes.d_out) for layer, sizes in attentions.items()):
        return None
    text_widths = {sizes.d_in for layer, sizes in attentions.items() if re.search(r"attn2\.to_[kv]$", layer)}
    if len(text_widths) == 1:
        return _UNET_OF_TEXT_WIDTH.get(text_widths.pop())
    if any(".transformer_blocks.1." in layer for layer in unet):
        return "Stable Diffusion XL"
    return None if text_widths else "Stable Diffusion 1.x or 2.x"


def _is_sd_width(layer: str, d_out: int) -> bool:
    return _SD_WIDTHS.get(_UNET.match(layer)[1], d_out) == d_out


def _from_text(metadata: Mapping[str, str], configs: Sequence[Any]) -> str | None:
    said = [metadata.get(name) for name in _SAID_IN_HEADER] + [config.base_model for config in configs]
    return next((plain(text, 80) for text in said if text and text != "None"), None)
