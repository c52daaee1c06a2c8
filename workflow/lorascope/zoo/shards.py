"""Shards: a block of adapters in one file, each tensor stacked over them, under PEFT's names. numpy only.

``base_model.model.<layer>.lora_A.weight`` is [n, r, d_in], ``….lora_B.weight`` [n, d_out, r]; entries i of
all tensors are a PEFT state dict. The header holds, as JSON under ``lorascope``: ``adapters`` (their ids),
``rank``, ``alpha``, ``recipe``.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save_file

from lorascope.errors import LorascopeError
from lorascope.files import atomic_path, write_json
from lorascope.tensor_files import read_tensors, write_tensors

PREFIX = "base_model.model."


class Shard(NamedTuple):
    """``factors``: layer name → (A [n, r, d_in], B [n, d_out, r]), float32, of the n ``adapters``."""

    adapters: list[str]
    rank: int
    alpha: float
    recipe: dict
    factors: dict[str, tuple[np.ndarray, np.ndarray]]


def write_shard(path: str | Path, shard: Shard) -> None:
    """Write ``shard`` atomically."""
    tensors = {}
    for layer, (A, B) in shard.factors.items():
        tensors[f"{PREFIX}{layer}.lora_A.weight"] = A
        tensors[f"{PREFIX}{layer}.lora_B.weight"] = B
    write_tensors(path, tensors, {key: value for key, value in shard._asdict().items() if key != "factors"})


def read_shard(path: str | Path) -> Shard:
    """Read a whole shard.

    Raises:
        LorascopeError: the file is missing, damaged, or no shard.
    """
    about, tensors = _read(path)
    layers = [key.removeprefix(PREFIX).removesuffix(".lora_A.weight") for key in tensors if "lora_A" in key]
    factors = {
        layer: (tensors[f"{PREFIX}{layer}.lora_A.weight"], tensors[f"{PREFIX}{layer}.lora_B.weight"])
        for layer in layers
    }
    return Shard(**about, factors=factors)


def export_adapter(shard_path: str | Path, adapter_id: str, folder: str | Path) -> None:
    """Write one adapter as a PEFT folder: ``adapter_model.safetensors`` and ``adapter_config.json``.

    ``PeftModel.from_pretrained(unet, folder)`` loads it onto a diffusers UNet with the base's weights.

    Raises:
        LorascopeError: the shard cannot be read, or has no such adapter.
    """
    about, tensors = _read(shard_path)
    if adapter_id not in about["adapters"]:
        first, last = about["adapters"][0], about["adapters"][-1]
        raise LorascopeError(f"{shard_path}: no adapter {adapter_id!r} in here; it holds {first} to {last}")
    row = about["adapters"].index(adapter_id)
    folder = Path(folder)
    with atomic_path(folder / "adapter_model.safetensors") as temp:
        save_file({key: stack[row] for key, stack in tensors.items()}, temp, metadata={"format": "pt"})
    write_json(folder / "adapter_config.json", _peft_config(about["rank"], about["alpha"]), signed=False)


def _peft_config(rank: int, alpha: float) -> dict:
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": ["to_q", "to_v"],
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "inference_mode": True,
        "base_model_name_or_path": None,
    }


def _read(path: str | Path) -> tuple[dict, dict[str, np.ndarray]]:
    about, tensors = read_tensors(path)
    if about is None:
        raise LorascopeError(f"{path}: its header lacks 'lorascope', so it is no shard of a zoo")
    return about, tensors
