"""Native names of a model's layers: rules spelled out, and the block map of Stability AI's UNets."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lorascope.adapters.atlas.maker.native import RULES
from lorascope.adapters.atlas.maker.patterns import boxes, split


@dataclass(frozen=True)
class Native:
    """One module of the native code: the canonical layers it holds, in the order of its rows.

    Attributes:
        swap: the two halves of its rows change places.
        pattern, targets: ``name`` and ``layers`` (joined by spaces) with ``{}`` for the numbers in ``index``.
    """

    name: str
    layers: tuple[str, ...]
    swap: bool = False
    pattern: str = ""
    targets: str = ""
    index: tuple[int, ...] = ()


def rows_of(modules: Iterable[Native]) -> list[list[str]]:
    """Return [pattern, targets, "~" where halves change places, boxes] of native modules."""
    indices: dict[tuple[str, str, bool], list[tuple[int, ...]]] = {}
    for module in modules:
        indices.setdefault((module.pattern, module.targets, module.swap), []).append(module.index)
    return [
        [pattern, targets, "~" if swap else "", boxes(some)]
        for (pattern, targets, swap), some in indices.items()
    ]


def native_names(rules: str, paths: Iterable[str]) -> list[Native]:
    """Return the native modules of a model; those called as in diffusers too, by no rule, are left out."""
    paths = set(paths)
    found = {}
    for line in filter(None, map(str.strip, RULES[rules].splitlines())):
        for native in _spelled_out(line, paths):
            found[native.name, native.layers] = native
    return list(found.values())


def _spelled_out(line: str, paths: set[str]) -> Iterable[Native]:
    name, sign, *canonical = line.split()
    last = canonical[-1] == "@last"
    canonical = canonical[: -1 if last else None]
    if canonical[0].endswith(":"):
        stem, *canonical = canonical
        canonical = [f"{stem[:-1]}.{part}" for part in canonical]
    pattern = re.compile(re.escape(canonical[0]).replace(r"\{\}", r"(\d+)") + "$")
    numbers = sorted((match.groups() for path in paths if (match := pattern.match(path))), key=_as_numbers)
    for number in numbers[-1:] if last else numbers:
        layers = tuple(one.format(*number) for one in canonical)
        if all(layer in paths for layer in layers):
            yield Native(
                name.format(*number), layers, sign == "~", name, " ".join(canonical), _as_numbers(number)
            )


def _as_numbers(texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(map(int, texts))


def fused_names(paths: Iterable[str]) -> list[Native]:
    """Return the modules that diffusers' ``fuse_qkv_projections`` makes of query, key and value."""
    paths = set(paths)
    found = []
    for path in sorted(paths):
        stem, _, last = path.rpartition(".")
        for first, parts, fused in (
            ("to_q", ("to_q", "to_k", "to_v"), "to_qkv"),
            ("to_k", ("to_k", "to_v"), "to_kv"),
            ("add_q_proj", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_added_qkv"),
        ):
            layers = tuple(f"{stem}.{part}" for part in parts)
            if last == first and paths.issuperset(layers) and f"{stem}.{fused}" not in paths:
                shape, numbers = split(stem)
                targets = " ".join(f"{shape}.{part}" for part in parts)
                found.append(Native(f"{stem}.{fused}", layers, False, f"{shape}.{fused}", targets, numbers))
    return found


_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_UNET = re.compile(
    r"(down|up|mid)_block(?:s\.(\d+))?\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)(.*)"
)


def ldm_prefixes(paths: Iterable[str]) -> dict[str, str]:
    """Return native prefix → canonical prefix of a UNet in Stability AI's own code.

    Its blocks are numbered through: three modules a resolution, so that no pattern of numbers fits. Layers of
    a residual block and what stands outside the blocks have whole names of their own.
    """
    paths = list(paths)
    with_attention = {
        match[0] for path in paths if (match := re.match(r"up_blocks\.\d+(?=\.attentions)", path))
    }
    found = {}
    for path in paths:
        if native := _ldm(path, with_attention):
            found.setdefault(*native)
    return found


def _ldm(path: str, with_attention: set[str]) -> tuple[str, str] | None:
    if path in _OUTSIDE:
        return _OUTSIDE[path], path
    if (match := _UNET.match(path)) is None:
        return None
    side, block, kind, index, rest = match.groups()
    place = int(kind == "attentions")
    if side == "mid":
        native = f"middle_block.{1 if place else 2 * int(index)}"
    elif kind == "downsamplers":
        return f"input_blocks.{3 * int(block) + 3}.0.op", path
    elif kind == "upsamplers":
        third = 2 if f"up_blocks.{block}" in with_attention else 1
        return f"output_blocks.{3 * int(block) + 2}.{third}.conv", path
    else:
        number = 3 * int(block) + int(index) + (1 if side == "down" else 0)
        native = f"{'input' if side == 'down' else 'output'}_blocks.{number}.{place}"
    if place:
        return native, path.removesuffix(rest)
    return f"{native}.{_RESNET[rest[1:]]}", path
