"""Adapters of known networks without their weights: names and sizes from the atlas, in every spelling."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lorascope.adapters.atlas.reader import Layer, architecture

Named = dict[str, tuple[str, ...]]


def native_modules(name: str) -> Named:
    """Return native module → canonical layers, every layer once."""
    model = architecture(name)
    modules = list(model.native_modules())
    if model.prefixes:
        modules = list(model.spellings())
        modules = [one for one in modules if not one[0].endswith((".to_qkv", ".to_kv", ".to_added_qkv"))]
    found: Named = {}
    seen: set[str] = set()
    for native, layers, _ in modules:
        if not seen.intersection(layers):
            seen.update(layers)
            found[native] = layers
    return found | {layer.path: (layer.path,) for layer in model.layers() if layer.path not in seen}


def sizes(name: str) -> dict[str, Layer]:
    """Return canonical path → layer."""
    return {layer.path: layer for layer in architecture(name).layers()}


def stems(
    name: str, native: bool, prefix: str, keep: Callable[[Layer], bool]
) -> dict[str, tuple[tuple[str, ...], tuple[int, int]]]:
    """Return module of a file → (canonical layers, (d_out, d_in))."""
    layers = sizes(name)
    modules = native_modules(name) if native else {path: (path,) for path in layers}
    found = {}
    for module, paths in modules.items():
        if any(keep(layers[path]) for path in paths):
            stem = prefix + (module.replace(".", "_") if prefix.endswith("_") else module)
            size = sum(layers[path].d_out for path in paths), layers[paths[0]].d_in
            found[stem] = paths, size
    return found


def random_factors(
    shapes: Mapping[str, tuple[int, int]], rank: int = 2, seed: int = 0
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return layer → (A, B) for layer → (d_out, d_in)."""
    generator = np.random.default_rng(seed)
    return {
        layer: (
            generator.standard_normal((rank, d_in)).astype(np.float32),
            generator.standard_normal((d_out, rank)).astype(np.float32),
        )
        for layer, (d_out, d_in) in shapes.items()
    }


def write(
    path: Path,
    factors: Mapping[str, tuple[np.ndarray, np.ndarray]],
    spell: Callable[[str], str],
    sides: tuple[str, str] = (".lora_A", ".lora_B"),
    metadata: dict[str, str] | None = None,
    alpha: float | None = None,
) -> Path:
    """Write factors under the names that ``spell`` gives their layers."""
    tensors: dict[str, np.ndarray] = {}
    for layer, (down, up) in factors.items():
        stem = spell(layer)
        tensors |= {f"{stem}{sides[0]}.weight": down, f"{stem}{sides[1]}.weight": up}
        if alpha is not None:
            tensors[f"{stem}.alpha"] = np.array(alpha, np.float32)
    save_file(tensors, path, metadata)
    return path


def fused(
    parts: Iterable[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the LoRA of layers that share their input: As stacked, Bs on a diagonal."""
    parts = list(parts)
    rank = sum(len(down) for down, _ in parts)
    up = np.zeros((sum(len(b) for _, b in parts), rank), np.float32)
    row = column = 0
    for down, b in parts:
        up[row : row + len(b), column : column + len(down)] = b
        row, column = row + len(b), column + len(down)
    return np.concatenate([down for down, _ in parts]), up
