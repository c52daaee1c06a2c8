"""Adapters with a class written as single files, in the spellings of several families."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

BLOCK = "down_blocks.{}.attentions.0.transformer_blocks.0.{}.{}"
LAYERS = [
    BLOCK.format(i, attention, to)
    for i in (0, 1)
    for attention in ("attn1", "attn2")
    for to in ("to_q", "to_v")
]
SIZE = 12
CLASSES = ("cat", "dog", "owl")


def factors(seed: int, label: str, rank: int = 1, layers=LAYERS) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return layer → (A, B): the class's direction in every layer, and noise of its own."""
    shared, own = np.random.default_rng(CLASSES.index(label)), np.random.default_rng(1000 + seed)
    found = {}
    for layer in layers:
        a, b = shared.standard_normal((1, SIZE)), shared.standard_normal((SIZE, 1))
        down = a + own.standard_normal((rank, SIZE))
        up = own.uniform(0.5, 2) * (b + own.standard_normal((SIZE, rank)))
        found[layer] = down.astype(np.float32), up.astype(np.float32)
    return found


def write_diffusers(path: Path, matrices: dict) -> None:
    """Write one file with diffusers' names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for layer, (down, up) in matrices.items():
        tensors |= {f"unet.{layer}.lora.down.weight": down, f"unet.{layer}.lora.up.weight": up}
    save_file(tensors, path)


def write_kohya(path: Path, matrices: dict, alpha: float = 2.0) -> None:
    """Write the same update with kohya's names, and an alpha that B makes up for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for layer, (down, up) in matrices.items():
        stem = "lora_unet_" + layer.replace(".", "_")
        tensors[f"{stem}.lora_down.weight"] = down
        tensors[f"{stem}.lora_up.weight"] = (up * (len(down) / alpha)).astype(np.float32)
        tensors[f"{stem}.alpha"] = np.array(alpha, np.float32)
    save_file(tensors, path)


def write_peft(folder: Path, matrices: dict) -> None:
    """Write the same update as a PEFT folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for layer, (down, up) in matrices.items():
        stem = f"base_model.model.{layer}"
        tensors |= {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
    rank = len(next(iter(matrices.values()))[0])
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": ["to_q", "to_v"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def write_tree(root: Path, per_class: int) -> list[tuple[str, str]]:
    """Write adapters of every class into ``<class>/``, families and ranks in turn; return (file, label)."""
    written = []
    for index in range(per_class * len(CLASSES)):
        label = CLASSES[index % len(CLASSES)]
        matrices = factors(index, label, rank=1 + index % 2)
        name = f"{label}/{index:03d}"
        if index % 5 == 3:
            write_peft(root / name, matrices)
        else:
            name += ".safetensors"
            (write_kohya if index % 5 == 4 else write_diffusers)(root / name, matrices)
        written.append((name, label))
    return sorted(written)
