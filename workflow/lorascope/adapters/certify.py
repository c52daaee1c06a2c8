"""Whether two files do the same: ΔW·x of the raw tensors of one against that of the other's factors."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lorascope.adapters.files import AdapterFile
from lorascope.adapters.formats.header import Header
from lorascope.adapters.formats.keys import LOHA, LOKR
from lorascope.adapters.formats.modules import Module
from lorascope.errors import LorascopeError

TOLERANCE = 1e-5
"""Largest relative error of a conversion: factors are float32."""

_SEED = 0
Read = Callable[[str], np.ndarray]


def certify(source: AdapterFile, target: AdapterFile, shown: Path | None = None) -> dict[str, float]:
    """Return layer → ‖ΔW·x − ΔW′·x‖ / ‖ΔW·x‖ for one random x a layer.

    ΔW·x is computed in float64 from the tensors of ``source`` as its family defines them, not from factors:
    a mistake in the factor algebra shows as well as one in a name or a scale. A layer that only ``target``
    has must have ΔW = 0: a fused module has rows for each of its layers.

    Args:
        shown: what messages call ``target``.

    Raises:
        LorascopeError: the two do not have the same layers, or an error above ``TOLERANCE``.
    """
    shown = shown or target.path
    if missing := set(source.modules) - set(target.modules):
        raise LorascopeError(f"{shown}: layers differ from {source.path}: {sorted(missing)[0]}")
    for layer in set(target.modules) - set(source.modules):
        if target.layers.norm(layer) != 0:
            raise LorascopeError(f"{shown}: layers differ from {source.path}: {layer}")
    generator = np.random.default_rng(_SEED)
    errors = {}
    for layer, module in source.modules.items():
        x = generator.standard_normal(module.sizes.d_in)
        with np.errstate(all="ignore"):
            before = apply_raw(source.header, module, x)
            factors = target.layers[layer]
            after = factors.up.astype(np.float64) @ (factors.down.astype(np.float64) @ x)
            size = np.linalg.norm(before)
            errors[layer] = float(np.linalg.norm(after - before) / (size or 1.0))
    worst = max(errors, key=lambda layer: math.inf if math.isnan(errors[layer]) else errors[layer])
    if not errors[worst] <= TOLERANCE:
        raise LorascopeError(
            f"{shown}: layer {worst}: ΔW·x is off by {errors[worst]:.1e} of its size in {source.path}"
        )
    return errors


def apply_raw(header: Header, module: Module, x: np.ndarray) -> np.ndarray:
    """Return ΔW·x [d_out] in float64 from a module's tensors; ``x`` [d_in] has the kernel flattened."""

    def read(role: str) -> np.ndarray:
        return header.read(module.keys[role]).astype(np.float64)

    apply = {LOHA: _apply_loha, LOKR: _apply_lokr}.get(module.family, _apply_lora)
    whole = module.scale * apply(read, set(module.keys), x)
    return np.concatenate([whole[start:stop] for start, stop in module.rows]) if module.rows else whole


def _apply_lora(read: Read, roles: set[str], x: np.ndarray) -> np.ndarray:
    down, up = read("down"), read("up")
    down, up = down.reshape(len(down), -1), up.reshape(len(up), -1)
    if "lora_mid" not in roles:
        return up @ (down @ x)
    mid = read("lora_mid")
    inner = down @ x.reshape(down.shape[1], -1)
    return up @ np.einsum("pqk,qk->p", mid.reshape(*mid.shape[:2], -1), inner)


def _whole(read: Read, roles: set[str], name: str, core: str) -> np.ndarray:
    """A half of LoHa or LoKr as a matrix."""
    if name in roles:
        whole = read(name)
        return whole.reshape(len(whole), -1)
    a, b = read(f"{name}_a"), read(f"{name}_b")
    if core in roles:
        whole = np.einsum("ijk,ip,jr->prk", read(core).reshape(len(a), len(b), -1), a, b)
        return whole.reshape(len(whole), -1)
    return a.reshape(len(a), -1) @ b.reshape(len(b), -1)


def _apply_loha(read: Read, roles: set[str], x: np.ndarray) -> np.ndarray:
    first, second = (_whole(read, roles, f"hada_w{n}", f"hada_t{n}") for n in (1, 2))
    return (first * second) @ x


def _apply_lokr(read: Read, roles: set[str], x: np.ndarray) -> np.ndarray:
    """(W₁ ⊗ W₂)·x = W₁ X W₂ᵀ with x as a matrix X."""
    first, second = (_whole(read, roles, f"lokr_w{n}", f"lokr_t{n}") for n in (1, 2))
    return (first @ x.reshape(first.shape[1], -1) @ second.T).ravel()
