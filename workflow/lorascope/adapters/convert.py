"""An adapter written as another family: the weights stay as they are, names and the place of alpha change.

Importing this module loads torch.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from lorascope.adapters.certify import certify
from lorascope.adapters.files import AdapterFile, read_adapter
from lorascope.adapters.formats.keys import LOHA, LOKR
from lorascope.adapters.formats.modules import Module
from lorascope.adapters.formats.scale import CONFIG_NAME, HEADER_ENTRY
from lorascope.adapters.naming import Target, layer_size, targets
from lorascope.errors import LorascopeError
from lorascope.files import write_bytes, write_json

_KERNEL_OF_NAME = ((re.compile(r"conv_shortcut$"), 1), (re.compile(r"(conv\d?|conv_in|conv_out)$"), 3))
_UNET_ATTENTION = re.compile(r"\.to_(q|k|v|out\.0)$")
_CLIP_ATTENTION = re.compile(r"\.self_attn\.(q|k|v|out)_proj$")


@dataclass(frozen=True)
class Pair:
    """One module as every family but LoHa and LoKr stores it: ΔW = alpha / rank · up · down."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Rows of ``down``."""
        return len(self.down)


def convert(adapter: AdapterFile, family: str, out: Path, certified: bool = False) -> dict[str, float]:
    """Write an adapter as ``diffusers``, ``kohya`` or ``comfyui`` (one file), or ``peft`` (a folder).

    LoHa, LoKr and Tucker convolutions are written as the LoRA that has the same ΔW, in float32. Layers that
    are one in the family are put together: exactly, at the sum of their ranks where they do not share A.

    Args:
        certified: compare ΔW·x before and after; return layer → relative error.

    Raises:
        LorascopeError: ``out`` exists, a layer has no place in that family, or the comparison fails; nothing
            is left behind.
    """
    if out.exists():
        raise LorascopeError(f"{out}: exists; name another file, or delete it first")
    named = targets(adapter, family)
    stored = load_file(adapter.header.path)
    pairs = {layer: _pair(adapter, layer, module, stored) for layer, module in adapter.modules.items()}
    modules = {target.stem: _joined(adapter, target, pairs) for target in named}
    # Beside the target, so that the move is one step; a name that a listing of adapters does not show.
    temp = out.with_name(f".{out.name}.partial")
    try:
        WRITERS[family](adapter, modules, temp)
        errors = certify(adapter, read_adapter(temp), shown=out) if certified else {}
        temp.replace(out)
    finally:
        _remove(temp)
    return errors


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _pair(adapter: AdapterFile, layer: str, module: Module, stored: Mapping[str, torch.Tensor]) -> Pair:
    if module.family not in (LOHA, LOKR) and "lora_mid" not in module.keys:
        up = stored[module.keys["up"]]
        if module.rows:
            up = torch.cat([up[start:stop] for start, stop in module.rows])
        # scale · rank is alpha again, whatever rule the family has for the scale.
        return Pair(stored[module.keys["down"]], up, module.scale * module.sizes.dim)
    factors = adapter.layers[layer]
    down, up = (torch.from_numpy(np.array(matrix)) for matrix in (factors.down, factors.up))
    if kernel := module.sizes.kernel or _kernel_of_name(layer):
        down = down.reshape(len(down), -1, *kernel)
        up = up.reshape(*up.shape, *(1 for _ in kernel))
    return Pair(down.contiguous(), up.contiguous(), float(factors.rank))


def _kernel_of_name(layer: str) -> tuple[int, ...]:
    """LyCORIS flattens kernels; in the UNets of Stable Diffusion a convolution's name tells which it has."""
    return next(((size, size) for pattern, size in _KERNEL_OF_NAME if pattern.search(layer)), ())


def _joined(adapter: AdapterFile, target: Target, pairs: Mapping[str, Pair]) -> Pair:
    """The layers of one module as one LoRA, its rows in the module's order."""
    if len(target.layers) == 1:
        pair = pairs[target.layers[0]]
        if not target.swap:
            return pair
        first, second = pair.up.chunk(2)
        return Pair(pair.down, torch.cat([second, first]), pair.alpha)
    rows = [layer_size(adapter, layer, target)[0] for layer in target.layers]
    own = [(pairs.get(layer), count) for layer, count in zip(target.layers, rows, strict=True)]
    there = [pair for pair, _ in own if pair]
    if len(there) == len(own) and all(_same_a(there[0], pair) for pair in there[1:]):
        return Pair(there[0].down, torch.cat([pair.up for pair in there]), there[0].alpha)
    return _block_diagonal(own)


def _same_a(first: Pair, other: Pair) -> bool:
    same = first.alpha == other.alpha and first.down.shape == other.down.shape
    return same and first.up.dtype == other.up.dtype and torch.equal(first.down, other.down)


def _block_diagonal(own: Sequence[tuple[Pair | None, int]]) -> Pair:
    """The As one below the other, each B in its own rows and columns."""
    there = [pair for pair, _ in own if pair]
    scales = {pair.alpha / pair.rank for pair in there}
    folded = len(scales) > 1
    dtype = torch.float32 if folded else there[0].up.dtype
    rank = sum(pair.rank for pair in there)
    up = torch.zeros(sum(count for _, count in own), rank, *there[0].up.shape[2:], dtype=dtype)
    row = column = 0
    for pair, count in own:
        if pair:
            scale = pair.alpha / pair.rank if folded else 1
            up[row : row + count, column : column + pair.rank] = pair.up.to(dtype) * scale
            column += pair.rank
        row += count
    down = torch.cat([pair.down.to(dtype) for pair in there])
    return Pair(down, up, float(rank) if folded else scales.pop() * rank)


def _write_kohya(adapter: AdapterFile, modules: Mapping[str, Pair], out: Path) -> None:
    tensors = {}
    for stem, pair in modules.items():
        tensors |= {f"{stem}.alpha": _scalar(pair.alpha, pair.down.dtype)}
        tensors |= _sides(stem, (".lora_down", ".lora_up"), pair)
    _save(out, tensors, _free_metadata(adapter))


def _write_comfyui(adapter: AdapterFile, modules: Mapping[str, Pair], out: Path) -> None:
    tensors = {}
    for stem, pair in modules.items():
        tensors |= {f"{stem}.alpha": _scalar(pair.alpha, pair.down.dtype)}
        tensors |= _sides(stem, (".lora_A", ".lora_B"), pair)
    _save(out, tensors, _free_metadata(adapter))


def _scalar(value: float, dtype: torch.dtype) -> torch.Tensor:
    """kohya-ss stores alpha in the type of the weights; float32 where that would round it."""
    number = torch.tensor(value, dtype=dtype)
    return number if number.item() == value else torch.tensor(value, dtype=torch.float32)


def _write_diffusers(adapter: AdapterFile, modules: Mapping[str, Pair], out: Path) -> None:
    """Attention projections are called as diffusers' training scripts call them (``to_q.lora.down.weight``).

    Where other layers of the UNet are adapted too, all of them have PEFT's names: diffusers' loader takes a
    file for one or the other.
    """
    unet = [stem for stem in modules if stem.startswith("unet.")]
    old = bool(unet) and all(_UNET_ATTENTION.search(stem) for stem in unet)
    tensors = {}
    config = {}
    for stem, pair in modules.items():
        sides = (".lora_A", ".lora_B")
        if stem.startswith("unet.") and old:
            sides = (".lora.down", ".lora.up")
        elif stem.startswith("text_encoder") and _CLIP_ATTENTION.search(stem):
            sides = (".lora_linear_layer.down", ".lora_linear_layer.up")
        tensors |= _sides(stem, sides, pair)
    for component in dict.fromkeys(stem.split(".", 1)[0] for stem in modules):
        part = {
            stem.removeprefix(f"{component}."): pair
            for stem, pair in modules.items()
            if stem.split(".", 1)[0] == component
        }
        config |= {f"{component}.{name}": value for name, value in _peft_config(adapter, part).items()}
    _save(out, tensors, {**_free_metadata(adapter), HEADER_ENTRY: json.dumps(config, sort_keys=True)})


def _write_peft(adapter: AdapterFile, modules: Mapping[str, Pair], out: Path) -> None:
    tensors = {}
    for stem, pair in modules.items():
        tensors |= _sides(stem, (".lora_A", ".lora_B"), pair)
    _save(out / "adapter_model.safetensors", tensors, _free_metadata(adapter))
    inside = {stem.removeprefix("base_model.model."): pair for stem, pair in modules.items()}
    write_json(out / CONFIG_NAME, _peft_config(adapter, inside), signed=False)


WRITERS = {
    "diffusers": _write_diffusers,
    "kohya": _write_kohya,
    "comfyui": _write_comfyui,
    "peft": _write_peft,
}


def _sides(stem: str, sides: tuple[str, str], pair: Pair) -> dict[str, torch.Tensor]:
    down, up = (f"{stem}{side}.weight" for side in sides)
    return {down: pair.down.contiguous(), up: pair.up.contiguous()}


def _peft_config(adapter: AdapterFile, pairs: Mapping[str, Pair]) -> dict:
    """PEFT's configuration: the most frequent rank and alpha, patterns for all other layers."""
    ranks = {layer: pair.rank for layer, pair in pairs.items()}
    alphas = {layer: _whole_number(pair.alpha) for layer, pair in pairs.items()}
    (r, _), (alpha, _) = (Counter(values.values()).most_common(1)[0] for values in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "r": r,
        "lora_alpha": alpha,
        "rank_pattern": {layer: rank for layer, rank in ranks.items() if rank != r},
        "alpha_pattern": {layer: value for layer, value in alphas.items() if value != alpha},
        "target_modules": sorted(pairs),
        "base_model_name_or_path": adapter.config.base_model if adapter.config else None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_dropout": 0.0,
        "task_type": None,
        "use_dora": False,
        "use_rslora": False,
    }


def _whole_number(value: float) -> float:
    return int(value) if value == int(value) else value


def _free_metadata(adapter: AdapterFile) -> dict[str, str]:
    """What the header says besides its own family's entries, e.g. about the training."""
    kept = {name: text for name, text in adapter.metadata.items() if name not in (HEADER_ENTRY, "format")}
    return {**kept, "format": "pt"}


def _save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> None:
    seen: set[int] = set()
    own = {}
    for name, value in tensors.items():
        # Layers that were cut from one fused module share A: a file holds it once for each.
        own[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(own[name].data_ptr())
    write_bytes(path, save(own, metadata))
