"""Data sets in the published schema: 128 `Array2D` columns, labels and metadata, for any number of adapters.

Written from the description of the published sets, not with lorascope's own tables, so that the two can be
compared.
"""

from dataclasses import dataclass

import datasets
import numpy as np
import pyarrow as pa
from datasets.features.features import Array2DExtensionType

CATEGORIES = ("airplane", "bird", "cat", "car", "dog", "fish", "fruit", "ship", "snake", "vegetable")
# (block, attentions, index into the channels of a width)
BLOCKS = (
    ("down_blocks.0", 2, 0),
    ("down_blocks.1", 2, 1),
    ("down_blocks.2", 2, 2),
    ("mid_block", 1, 2),
    ("up_blocks.1", 3, 2),
    ("up_blocks.2", 3, 1),
    ("up_blocks.3", 3, 0),
)


@dataclass(frozen=True)
class Width:
    """Channels of the three resolutions that have attention, and of the text embedding."""

    channels: tuple[int, int, int]
    text: int


SD15 = Width((320, 640, 1280), 768)
# The same 128 columns with matrices of a few entries, for tests that are about anything else.
NARROW = Width((3, 4, 6), 5)


def layers(width: Width = SD15) -> dict[str, tuple[int, int]]:
    """Return layer → (d_out, d_in), in the order of the published columns."""
    found = {}
    for block, attentions, index in BLOCKS:
        channels = width.channels[index]
        for attention in range(attentions):
            stem = f"{block}.attentions.{attention}.transformer_blocks.0"
            found[f"{stem}.attn1.to_q"] = (channels, channels)
            found[f"{stem}.attn1.to_v"] = (channels, channels)
            found[f"{stem}.attn2.to_q"] = (channels, channels)
            found[f"{stem}.attn2.to_v"] = (channels, width.text)
    return found


def columns(width: Width = SD15, rank: int = 1) -> dict[str, tuple[int, int]]:
    """Return weight column → shape of one matrix."""
    shapes = {}
    for layer, (d_out, d_in) in layers(width).items():
        shapes[f"{layer}.lora.down.weight"] = (rank, d_in)
        shapes[f"{layer}.lora.up.weight"] = (d_out, rank)
    return shapes


def make_weights(
    n_adapters: int, width: Width = SD15, rank: int = 1, signal: float = 0.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Draw weights: column → float32 [n_adapters, rows, cols].

    With ``signal``, the matrices of a class are spread by another factor than those of the other classes,
    and lean to a direction of their own, in proportion to ``signal``.
    """
    rng = np.random.default_rng(seed)
    classes = np.arange(n_adapters) % len(CATEGORIES)
    drawn = {}
    for column, shape in columns(width, rank).items():
        spread = 1 + signal * rng.random((len(CATEGORIES), 1, 1))
        direction = signal * rng.standard_normal((len(CATEGORIES), *shape))
        noise = rng.standard_normal((n_adapters, *shape), np.float32)
        drawn[column] = (0.01 * (noise * spread[classes] + direction[classes])).astype(np.float32)
    return drawn


def make_metadata(n_adapters: int, leaves: int = 5) -> dict[str, pa.Array]:
    """Return the published columns that are no weights; each category has ``leaves`` category names."""
    rows = np.arange(n_adapters)
    category = np.array(CATEGORIES)[rows % len(CATEGORIES)]
    leaf = rows // len(CATEGORIES) % leaves
    counts = {
        "num_images": 5 + rows % 6,
        "leaf_id": rows,
        "num_batches": 5 + rows % 6,
        "num_epochs": 100 // (5 + rows % 6),
        "batch_size": np.ones_like(rows),
        "gradient_accumulation_steps": np.ones_like(rows),
        "max_train_steps": np.full_like(rows, 100),
        "rank": np.ones_like(rows),
    }
    return {
        "category_label": pa.array(category.tolist()),
        "category_name": pa.array([f"{name}_{i}" for name, i in zip(category, leaf, strict=True)]),
        "folder": pa.array([f"lora_{row:05d}" for row in rows]),
        **{name: pa.array(values, pa.int64()) for name, values in counts.items()},
        "step_loss": pa.array(0.1 + 0.001 * (rows % 7), pa.float64()),
    }


def array2d(values: np.ndarray) -> pa.ExtensionArray:
    """Return float32 [n, rows, cols] as the Arrow array that ``datasets`` makes of an ``Array2D`` column."""
    n, rows, cols = values.shape
    flat = pa.array(np.ascontiguousarray(values).ravel())
    inner = pa.ListArray.from_arrays(np.arange(n * rows + 1, dtype=np.int32) * cols, flat)
    outer = pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * rows, inner)
    return pa.ExtensionArray.from_storage(Array2DExtensionType((rows, cols), "float32"), outer)


def make_dataset(
    weights: dict[str, np.ndarray], metadata: dict[str, pa.Array] | None = None, prefix: str = ""
) -> datasets.Dataset:
    """Put weights and metadata together; ``prefix`` (such as ``unet.``) goes before the weight columns."""
    stored = {f"{prefix}{column}": array2d(values) for column, values in weights.items()}
    if metadata is None:
        metadata = make_metadata(len(next(iter(weights.values()))))
    return datasets.Dataset(pa.table({**stored, **metadata}))
