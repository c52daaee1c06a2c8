"""Module paths: from each family's spelling to the path in diffusers' models."""

import re

from lorascope.adapters.names import canonical_path

TEXT_ENCODER = "text_encoder"

_KOHYA_PREFIXES = {
    "lora_unet_": "",
    "lora_te_": "text_encoder.",
    "lora_te1_": "text_encoder.",
    "lora_te2_": "text_encoder_2.",
    "lora_te3_": "text_encoder_3.",
    "lora_transformer_": "transformer.",
    "lycoris_": "",
}
# kohya-ss writes _ for the dots of a path; these are the names that have a _ of their own.
_WITH_UNDERSCORE = re.compile(
    r"""(?:
        down_blocks|up_blocks|mid_block|transformer_blocks|single_transformer_blocks
      | to_(?:q|k|v|out)|(?:add_)?[qkv]_proj|out_proj|to_add_out|proj_in|proj_out
      | conv_in|conv_out|conv_shortcut|time_emb_proj|(?:time|add)_embedding|linear_[12]
      | text_model|text_projection|self_attn
      | input_blocks|middle_block|output_blocks|time_embed|label_emb|skip_connection|(?:in|out|emb)_layers
      | (?:double|single|joint)_blocks|context_block|x_block|(?:img|txt)_(?:attn|mlp|mod|in)
      | final_layer|(?:guidance|time|vector)_in|in_layer|out_layer|adaLN_modulation|(?:x|context|t|y)_embedder
    )(?=_|$)""",
    re.VERBOSE,
)
_WORD = re.compile(rf"{_WITH_UNDERSCORE.pattern}|[^_]+", re.VERBOSE)

_LDM = re.compile(r"^(?:(input|output)_blocks\.(\d{1,3})|(middle)_block)\.(\d)(?:\.(.+))?$")
_LDM_LAYERS_PER_BLOCK = 3
_LDM_RESNET = {
    "in_layers.2": "conv1",
    "out_layers.3": "conv2",
    "emb_layers.1": "time_emb_proj",
    "skip_connection": "conv_shortcut",
}
_LDM_OUTSIDE = {
    "input_blocks.0.0": "conv_in",
    "out.2": "conv_out",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
}
_OUTSIDE_LDM = {path: ldm for ldm, path in _LDM_OUTSIDE.items()}
_RESNET_LDM = {path: ldm for ldm, path in _LDM_RESNET.items()}
_DIFFUSERS_UNET = re.compile(
    r"^(down|up|mid)_block(?:s\.(\d{1,3}))?\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.+)$"
)
_UNET_PARTS = (
    "down_blocks", "mid_block", "up_blocks", "conv_in", "conv_out", "time_embedding", "add_embedding",
)  # fmt: skip
_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out.0": "out_proj"}


def layer_of(stem: str) -> str:
    """Return the canonical layer path of a module that a file calls ``stem``.

    UNet paths come without a prefix, as in diffusers' ``UNet2DConditionModel``; other models keep theirs
    (``text_encoder.…``, ``text_encoder_2.…``, ``transformer.…``).
    """
    for prefix, component in _KOHYA_PREFIXES.items():
        if stem.startswith(prefix):
            return component + _from_ldm(".".join(_WORD.findall(stem.removeprefix(prefix))))
    path = _from_ldm(canonical_path(stem.removeprefix("diffusion_model.")))
    if path.startswith("text_model."):
        # A PEFT folder holds one model and does not name it.
        path = f"{TEXT_ENCODER}.{path}"
    return _text_projection(path) if path.startswith(TEXT_ENCODER) else path


def component_of(layer: str) -> str:
    """Return which model of a pipeline a canonical layer belongs to: ``unet``, ``text_encoder``, …

    ``model`` stands for any other model, e.g. a language model that PEFT adapted.
    """
    first = layer.split(".", 1)[0]
    if first.startswith(TEXT_ENCODER) or first == "transformer":
        return first
    return "unet" if first in _UNET_PARTS else "model"


def _text_projection(path: str) -> str:
    """Old diffusers calls a text encoder's projections as the UNet's."""
    for old, new in _OLD_TEXT.items():
        if path.endswith(f".self_attn.{old}"):
            return path.removesuffix(old) + new
    return path


def _from_ldm(path: str) -> str:
    """Translate a path of Stability AI's UNet (three modules a resolution) into diffusers'."""
    if path in _LDM_OUTSIDE:
        return _LDM_OUTSIDE[path]
    match = _LDM.match(path)
    if match is None:
        return path
    side, number, middle, place, rest = match.groups()
    rest = rest or ""
    if middle:
        block, kind, index = (
            "mid_block",
            *(("attentions", 0) if place == "1" else ("resnets", int(place) // 2)),
        )
    else:
        position = int(number) - 1 if side == "input" else int(number)
        block_index, index = divmod(position, _LDM_LAYERS_PER_BLOCK)
        block = f"{'down' if side == 'input' else 'up'}_blocks.{block_index}"
        if rest in ("op", "conv"):
            return f"{block}.{'down' if side == 'input' else 'up'}samplers.0.conv"
        kind = "attentions" if place == "1" else "resnets"
    return f"{block}.{kind}.{index}.{_LDM_RESNET.get(rest, rest)}".rstrip(".")


def to_ldm(layer: str) -> str:
    """Translate a canonical UNet path into that of Stability AI's UNet: the inverse of what is read.

    Only for Stable Diffusion XL, where every resolution with an upsampler has attentions.
    """
    if layer in _OUTSIDE_LDM:
        return _OUTSIDE_LDM[layer]
    match = _DIFFUSERS_UNET.match(layer)
    if match is None:
        return layer
    side, block, kind, index, rest = match.groups()
    rest = _RESNET_LDM.get(rest, rest) if kind == "resnets" else rest
    place = int(kind == "attentions")
    if side == "mid":
        return f"middle_block.{1 if place else 2 * int(index)}.{rest}"
    first = _LDM_LAYERS_PER_BLOCK * int(block)
    if kind == "downsamplers":
        return f"input_blocks.{first + _LDM_LAYERS_PER_BLOCK}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{first + _LDM_LAYERS_PER_BLOCK - 1}.2.conv"
    if side == "down":
        return f"input_blocks.{first + int(index) + 1}.{place}.{rest}"
    return f"output_blocks.{first + int(index)}.{place}.{rest}"
