"""Proof of the native names: diffusers' own converters of checkpoints, run on tensors of numbered rows."""

from collections.abc import Iterable, Mapping

import torch
from diffusers.loaders import single_file_utils as converters

from lorascope.adapters.atlas.maker.layers import Found
from lorascope.adapters.atlas.maker.names import Native

_TAG = 1_000_000
# FLUX.1's converter cuts this bias into parts of the released size.
_LINEAR1_ROWS = 21504
CONVERTERS = {
    "flux": "convert_flux_transformer_checkpoint_to_diffusers",
    "chroma": "convert_chroma_transformer_checkpoint_to_diffusers",
    "flux2": "convert_flux2_transformer_checkpoint_to_diffusers",
    "sd3": "convert_sd3_transformer_checkpoint_to_diffusers",
    "auraflow": "convert_auraflow_transformer_checkpoint_to_diffusers",
    "mochi": "convert_mochi_transformer_checkpoint_to_diffusers",
    "sana": "convert_sana_transformer_to_diffusers",
    "wan": "convert_wan_transformer_to_diffusers",
    "hunyuan": "convert_hunyuan_video_transformer_to_diffusers",
    "ltx": "convert_ltx_transformer_checkpoint_to_diffusers",
    "ltx2": "convert_ltx2_transformer_to_diffusers",
    "lumina2": "convert_lumina2_to_diffusers",
    "z-image": "convert_z_image_transformer_checkpoint_to_diffusers",
    "cosmos1": "convert_cosmos_transformer_checkpoint_to_diffusers",
    "cosmos2": "convert_cosmos_transformer_checkpoint_to_diffusers",
    "krea2": "convert_krea2_transformer_checkpoint_to_diffusers",
    "ldm": "convert_ldm_unet_checkpoint",
}
_UNET_CONFIG = {
    "layers_per_block": 2,
    "class_embed_type": None,
    "addition_embed_type": None,
    "num_class_embeds": None,
}
_LDM_PREFIX = "model.diffusion_model."


class _Checkpoint(dict):
    """A checkpoint that invents what is asked for: biases and norms, which no adapter's name needs.

    It still knows keys that were taken out: one converter asks for its version after it has emptied it.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self._seen = set(self)

    def __contains__(self, key):
        return key in self._seen

    def __missing__(self, key):
        return torch.zeros(_LINEAR1_ROWS if key.endswith("linear1.bias") else 6, 1, dtype=torch.float64)

    def pop(self, key, default=None):
        return super().pop(key) if super().__contains__(key) else self[key]


# Sana Sprint's embedders are not in the converter of Sana.
_SPRINT = "time_embed.guidance_embedder.linear_1"


class WrongNameError(AssertionError):
    """A rule says something else than the converter."""


def check(rules: str, cls: str, layers: Iterable[Found], modules: Iterable[Native]) -> bool:
    """Hold the native modules of a model against diffusers' converter; return whether there is one.

    Raises:
        WrongNameError: a layer gets other rows than the rules say, or rows of several modules.
    """
    sizes = {layer.path: layer.d_out for layer in layers}
    name = CONVERTERS.get("chroma" if cls.startswith("Chroma") else rules)
    if name is None or cls.startswith("HunyuanVideoFramepack") or _SPRINT in sizes:
        return False
    renamed = {path for module in modules for path in module.layers}
    whole = [*modules, *(Native(path, (path,)) for path in sizes if path not in renamed)]
    rows = _converted(name, whole, sizes)
    for number, module in enumerate(whole):
        start = number * _TAG
        expected = torch.arange(
            start, start + sum(sizes[path] for path in module.layers), dtype=torch.float64
        )
        if module.swap:
            expected = torch.cat(expected.chunk(2)[::-1])
        for path, part in zip(
            module.layers, expected.split([sizes[path] for path in module.layers]), strict=True
        ):
            found = rows.get(path)
            if path == "encoder_hid_proj":
                continue  # Kolors' own: the native code has no such layer
            if found is None or not torch.equal(found, part):
                raise WrongNameError(f"{module.name} → {path}: diffusers says otherwise")
    return True


def _converted(name: str, modules: list[Native], sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
    prefix = _LDM_PREFIX if "ldm" in name else "net." if "cosmos" in name else ""
    checkpoint = _Checkpoint()
    for number, module in enumerate(modules):
        count = sum(sizes[path] for path in module.layers)
        rows = torch.arange(number * _TAG, number * _TAG + count, dtype=torch.float64)
        checkpoint[f"{prefix}{module.name}.weight"] = rows[:, None]
    checkpoint._seen = set(checkpoint)
    arguments = {}
    if "ldm" in name:
        conditioned = any(path.startswith("add_embedding") for path in sizes)
        arguments["config"] = _UNET_CONFIG | {"addition_embed_type": "text_time" if conditioned else None}
        # It asks for biases of samplers by [], of a plain dictionary that it makes itself.
        for key in list(checkpoint):
            bias = key.removesuffix("weight") + "bias"
            checkpoint[bias] = torch.zeros(1)
    converted = getattr(converters, name)(checkpoint, **arguments)
    return {
        key.removesuffix(".weight"): value[:, 0]
        for key, value in converted.items()
        if key.endswith(".weight") and key.removesuffix(".weight") in sizes and value is not None
    }
