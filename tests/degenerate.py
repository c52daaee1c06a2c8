"""Data sets that have nothing to tell, or hardly anything, as a folder of parquet files."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LAYERS = [
    f"down_blocks.0.attentions.0.transformer_blocks.0.{attention}.{projection}"
    for attention in ("attn1", "attn2")
    for projection in ("to_q", "to_v")
]
D_OUT, D_IN = 12, 10

Factors = dict[str, tuple[np.ndarray, np.ndarray]]


def ordinary(n: int, layers=LAYERS, rank: int = 1, seed: int = 0) -> Factors:
    """Return layer → (A, B), float32, of adapters that can be told apart: even ones from odd ones."""
    rng = np.random.default_rng(seed)
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)[:, None, None]
    found = {}
    for layer in layers:
        down, up = (rng.standard_normal(shape) for shape in ((n, rank, D_IN), (n, D_OUT, rank)))
        found[layer] = (down + 1).astype(np.float32), (0.1 * up + 0.1 * sign).astype(np.float32)
    return found


def labels(n: int) -> list[str]:
    """Return two classes in turn."""
    return [("cat", "dog")[index % 2] for index in range(n)]


def write(folder, factors: Factors, labels: list[str], **columns) -> None:
    """Write adapters as one parquet file of nested lists."""
    table = {}
    for layer, pair in factors.items():
        for side, values in zip(("down", "up"), pair, strict=True):
            table[f"{layer}.lora.{side}.weight"] = nested(values)
    folder.mkdir(parents=True)
    pq.write_table(pa.table({**table, "category_label": labels, **columns}), folder / "all.parquet")


def nested(values: np.ndarray) -> pa.Array:
    """Return matrices [n, rows, cols] as a column of two nested lists."""
    return pa.array(values.tolist(), pa.list_(pa.list_(pa.float32())))
