"""What an adapter file tells about itself: norms per block, training metadata, and what looks wrong."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from lorascope.adapters.files import AdapterFile
from lorascope.adapters.formats.keys import Beside
from lorascope.adapters.formats.text import plain
from lorascope.adapters.names import block_of

DEAD = 1e-6
"""A layer is dead when its norm is below this share of the median: training never reached it."""
DOMINATING = 0.5
"""One layer dominates when it holds more than this share of the adapter's squared norm…"""
DOMINATING_AMONG = 4
"""…among at least this many layers."""

TRAINING = (
    "modelspec.title", "ss_output_name", "ss_base_model_version", "ss_sd_model_name", "ss_network_module",
    "ss_network_dim", "ss_network_alpha", "ss_num_train_images", "ss_num_epochs", "ss_steps",
    "ss_max_train_steps", "ss_total_batch_size", "ss_resolution", "ss_learning_rate", "ss_unet_lr",
    "ss_text_encoder_lr", "ss_lr_scheduler", "ss_optimizer", "ss_seed", "ss_training_comment",
)  # fmt: skip
_FREQUENT_TAGS = 8


@dataclass(frozen=True)
class Inspection:
    """What one adapter file holds.

    Attributes:
        path, family, base_model: as in :class:`~lorascope.adapters.files.AdapterFile`.
        ranks: network dimension → number of layers.
        alphas: (alpha, where it came from) → number of layers.
        layers: layer → ‖ΔW‖_F, NaN where a weight is not finite.
        blocks: block → ‖ΔW‖_F of its layers together, in the file's order.
        training: entries of the header about the training, and the most frequent tags.
        anomalies: what looks wrong, one line each; empty when nothing does.
        notes: what a reader should know, one line each.
        beside: what the file trains beside its ΔW.
        streams: what the layers work on (image, text, both, …) → number of layers; "unknown" for names that
            the atlas does not have.
    """

    path: str
    family: str
    base_model: str | None
    ranks: Mapping[int, int]
    alphas: Mapping[tuple[float, str], int]
    layers: Mapping[str, float]
    blocks: Mapping[str, float]
    training: Mapping[str, str]
    anomalies: tuple[str, ...]
    notes: tuple[str, ...]
    beside: tuple[Beside, ...] = ()
    streams: Mapping[str, int] = field(default_factory=dict)


def inspect_adapter(adapter: AdapterFile) -> Inspection:
    """Read every layer once and describe the adapter."""
    modules = adapter.modules.values()
    norms = {layer: adapter.layers.norm(layer) for layer in adapter.layers}
    return Inspection(
        path=str(adapter.path),
        family=adapter.family,
        base_model=adapter.base_model,
        ranks=dict(Counter(module.sizes.dim or module.sizes.rank for module in modules)),
        alphas=dict(Counter((module.alpha, module.alpha_source) for module in modules)),
        layers=norms,
        blocks=_block_norms(norms),
        training=training_metadata(adapter.metadata),
        anomalies=tuple(_anomalies(norms)),
        notes=adapter.notes,
        beside=adapter.beside,
        streams=dict(Counter(module.known.stream if module.known else "unknown" for module in modules)),
    )


def as_json(inspection: Inspection) -> dict:
    """Return the inspection as JSON can hold it: norms that are not finite become null."""
    return {
        "path": inspection.path,
        "family": inspection.family,
        "base_model": inspection.base_model,
        "ranks": {str(rank): count for rank, count in inspection.ranks.items()},
        "alphas": [
            {"alpha": alpha, "source": source, "layers": count}
            for (alpha, source), count in inspection.alphas.items()
        ],
        "layers": {layer: _finite(value) for layer, value in inspection.layers.items()},
        "streams": dict(inspection.streams),
        "blocks": {block: _finite(value) for block, value in inspection.blocks.items()},
        "training": dict(inspection.training),
        "anomalies": list(inspection.anomalies),
        "notes": list(inspection.notes),
        "trains_more": [
            {"name": one.key, "kind": one.kind, "shape": list(one.shape), "bytes": one.bytes}
            for one in inspection.beside
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _block_norms(norms: Mapping[str, float]) -> dict[str, float]:
    squares: dict[str, float] = {}
    for layer, value in norms.items():
        block = _block(layer)
        squares[block] = squares.get(block, 0.0) + value * value
    return {block: math.sqrt(square) for block, square in squares.items()}


def _block(layer: str) -> str:
    """UNet block; another model's layers are grouped up to the first number in their path."""
    if (block := block_of(layer)) != "other":
        return block
    if layer.startswith("text_encoder"):
        return layer.split(".", 1)[0]
    numbered = re.match(r".*?\.\d+(?=\.)", layer)
    return numbered[0] if numbered else layer.split(".", 1)[0]


def _anomalies(norms: Mapping[str, float]) -> list[str]:
    broken = [layer for layer, value in norms.items() if not math.isfinite(value)]
    sound = {layer: value for layer, value in norms.items() if math.isfinite(value)}
    found = []
    if broken:
        found.append(f"NaN or infinite weights in {_of(broken, norms)}")
    if not sound:
        return found
    dead = [layer for layer, value in sound.items() if value <= DEAD * median(sound.values())]
    if dead:
        found.append(f"no change (ΔW = 0) in {_of(dead, norms)}")
    total = sum(value * value for value in sound.values())
    largest = max(sound, key=sound.__getitem__)
    share = sound[largest] * sound[largest] / total if total else 0.0
    if len(sound) >= DOMINATING_AMONG and share > DOMINATING:
        found.append(f"{largest} alone holds {share:.0%} of the adapter's squared norm")
    return found


def _of(layers: list[str], among: Mapping[str, float]) -> str:
    first = layers[0] if len(layers) == 1 else f"{layers[0]}, …"
    return f"{len(layers)} of {len(among)} layers: {first}"


def training_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the header's entries about the training as plain lines, most telling ones first."""
    said = (name for name in TRAINING if metadata.get(name) not in (None, "", "None"))
    found = {name: plain(metadata[name]) for name in said}
    if tags := _frequent_tags(metadata.get("ss_tag_frequency", "")):
        found["ss_tag_frequency"] = tags
    return found


def _frequent_tags(text: str) -> str:
    """kohya-ss stores folder → tag → count; other trainers write other things into the same entry."""
    try:
        folders = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, int):
                counts[tag.strip()] += count
    return plain(", ".join(f"{tag} ({count})" for tag, count in counts.most_common(_FREQUENT_TAGS)))
