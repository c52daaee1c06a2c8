"""An adapter written as another family: the weights stay as they are, names and the place of alpha change.

Importing this module loads torch, diffusers and peft.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from lorascope.adapters.files import AdapterFile
from lorascope.adapters.formats.keys import LOHA, LOKR
from lorascope.adapters.formats.modules import Module
from lorascope.adapters.formats.paths import component_of
from lorascope.adapters.formats.scale import CONFIG_NAME, HEADER_ENTRY
from lorascope.adapters.libraries import LoraConfig
from lorascope.adapters.renaming import check_names, diffusers_stems, kohya_stems
from lorascope.errors import LorascopeError
from lorascope.files import write_bytes, write_json

_PIPELINE = ("unet", "text_encoder", "text_encoder_2")
_KERNEL_OF_NAME = ((re.compile(r"conv_shortcut$"), 1), (re.compile(r"(conv\d?|conv_in|conv_out)$"), 3))


@dataclass(frozen=True)
class Pair:
    """One layer as every family but LoHa and LoKr stores it: ΔW = alpha / rank · up · down."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Rows of ``down``."""
        return len(self.down)


def convert(adapter: AdapterFile, family: str, out: Path) -> None:
    """Write an adapter as ``diffusers`` or ``kohya`` (one file), or ``peft`` (a folder).

    LoHa, LoKr and Tucker convolutions are written as the LoRA that has the same ΔW, in float32.

    Raises:
        LorascopeError: ``out`` exists, or a layer has no place in that family.
    """
    if out.exists():
        raise LorascopeError(f"{out}: exists; name another file, or delete it first")
    check_names(adapter)
    stored = load_file(adapter.header.path)
    pairs = {layer: _pair(adapter, layer, module, stored) for layer, module in adapter.modules.items()}
    WRITERS[family](adapter, pairs, out)


def _pair(adapter: AdapterFile, layer: str, module: Module, stored: Mapping[str, torch.Tensor]) -> Pair:
    if module.family not in (LOHA, LOKR) and "lora_mid" not in module.keys:
        # scale · rank is alpha again, whatever rule the family has for the scale.
        return Pair(stored[module.keys["down"]], stored[module.keys["up"]], module.scale * module.sizes.dim)
    factors = adapter.layers[layer]
    down, up = (torch.from_numpy(np.array(matrix)) for matrix in (factors.down, factors.up))
    if kernel := module.sizes.kernel or _kernel_of_name(layer):
        down = down.reshape(len(down), -1, *kernel)
        up = up.reshape(*up.shape, *(1 for _ in kernel))
    return Pair(down.contiguous(), up.contiguous(), float(factors.rank))


def _kernel_of_name(layer: str) -> tuple[int, ...]:
    """LyCORIS flattens kernels; in the UNets of Stable Diffusion a convolution's name tells which it has."""
    return next(((size, size) for pattern, size in _KERNEL_OF_NAME if pattern.search(layer)), ())


def _write_kohya(adapter: AdapterFile, pairs: Mapping[str, Pair], out: Path) -> None:
    _check_components(adapter, pairs, "kohya-ss")
    tensors = {}
    for layer, (down, up) in kohya_stems(pairs, adapter.base_model).items():
        pair = pairs[layer]
        alpha = down.removesuffix(".lora_down.weight") + ".alpha"
        tensors |= {alpha: _scalar(pair.alpha, pair.down.dtype), down: pair.down, up: pair.up}
    _save(out, tensors, _free_metadata(adapter))


def _scalar(value: float, dtype: torch.dtype) -> torch.Tensor:
    """kohya-ss stores alpha in the type of the weights; float32 where that would round it."""
    number = torch.tensor(value, dtype=dtype)
    return number if number.item() == value else torch.tensor(value, dtype=torch.float32)


def _write_diffusers(adapter: AdapterFile, pairs: Mapping[str, Pair], out: Path) -> None:
    _check_components(adapter, pairs, "diffusers")
    keys = diffusers_stems(pairs)
    tensors = {key: value for layer in pairs for key, value in _named(keys[layer], pairs[layer])}
    config = {}
    for component in dict.fromkeys(map(component_of, pairs)):
        part = {
            layer.removeprefix(f"{component}."): pair
            for layer, pair in pairs.items()
            if component_of(layer) == component
        }
        config |= {f"{component}.{name}": value for name, value in _peft_config(adapter, part).items()}
    _save(out, tensors, {**_free_metadata(adapter), HEADER_ENTRY: json.dumps(config, sort_keys=True)})


def _write_peft(adapter: AdapterFile, pairs: Mapping[str, Pair], out: Path) -> None:
    if len(components := list(dict.fromkeys(map(component_of, pairs)))) > 1:
        raise LorascopeError(
            f"{adapter.path}: it adapts {' and '.join(components)}, and a PEFT folder holds one model; "
            "convert to diffusers instead"
        )
    prefix = "" if components[0] in ("unet", "model") else f"{components[0]}."
    pairs = {layer.removeprefix(prefix): pair for layer, pair in pairs.items()}
    tensors = {}
    for layer, pair in pairs.items():
        stem = f"base_model.model.{layer}"
        tensors |= _named((f"{stem}.lora_A.weight", f"{stem}.lora_B.weight"), pair)
    _save(out / "adapter_model.safetensors", tensors, _free_metadata(adapter))
    write_json(out / CONFIG_NAME, _peft_config(adapter, pairs), signed=False)


WRITERS = {"diffusers": _write_diffusers, "kohya": _write_kohya, "peft": _write_peft}


def _named(keys: tuple[str, str], pair: Pair) -> tuple[tuple[str, torch.Tensor], ...]:
    return tuple(zip(keys, (pair.down, pair.up), strict=True))


def _check_components(adapter: AdapterFile, pairs: Mapping[str, Pair], family: str) -> None:
    if stranger := next((layer for layer in pairs if component_of(layer) not in _PIPELINE), None):
        raise LorascopeError(
            f"{adapter.path}: {stranger} belongs to no UNet or text encoder: {family} has no name for it"
        )


def _peft_config(adapter: AdapterFile, pairs: Mapping[str, Pair]) -> dict:
    """PEFT's configuration: the most frequent rank and alpha, patterns for all other layers."""
    ranks = {layer: pair.rank for layer, pair in pairs.items()}
    alphas = {layer: _whole_number(pair.alpha) for layer, pair in pairs.items()}
    (r, _), (alpha, _) = (Counter(values.values()).most_common(1)[0] for values in (ranks, alphas))
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        rank_pattern={layer: rank for layer, rank in ranks.items() if rank != r},
        alpha_pattern={layer: value for layer, value in alphas.items() if value != alpha},
        target_modules=sorted(pairs),
        base_model_name_or_path=adapter.config.base_model if adapter.config else None,
        inference_mode=True,
    ).to_dict()
    return {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}


def _whole_number(value: float) -> float:
    return int(value) if value == int(value) else value


def _free_metadata(adapter: AdapterFile) -> dict[str, str]:
    """What the header says besides its own family's entries, e.g. about the training."""
    kept = {name: text for name, text in adapter.metadata.items() if name not in (HEADER_ENTRY, "format")}
    return {**kept, "format": "pt"}


def _save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> None:
    write_bytes(path, save(dict(tensors), metadata))
