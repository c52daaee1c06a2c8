"""Small prepared data sets of rank-r adapters whose factors are known."""

import numpy as np
import pyarrow as pa

from lorascope.adapters.names import MatrixInfo
from lorascope.data.fingerprint import file_fingerprint, folder_files, joint_fingerprint
from lorascope.data.labels import label_adapters
from lorascope.data.prepare import prepare
from lorascope.data.sources.base import Source
from lorascope.data.split import SplitSettings

LAYERS = [
    f"{block}.attentions.0.transformer_blocks.0.{attention}.{projection}"
    for block in ("down_blocks.0", "mid_block", "up_blocks.1")
    for attention in ("attn1", "attn2")
    for projection in ("to_q", "to_v")
]
D_OUT, D_IN = 24, 32


def random_factors(n, rank=1, seed=0, layers=LAYERS):
    """Return layer → (A, B) of independent adapters."""
    rng = np.random.default_rng(seed)
    return {
        layer: (rng.standard_normal((n, rank, D_IN)), rng.standard_normal((n, D_OUT, rank)))
        for layer in layers
    }


def make_data_set(folder, factors, labels, label="label", group=None, **columns):
    """Prepare and label adapters; return the folders of data and of labels."""
    matrices, weights = [], {}
    for layer, (down, up) in factors.items():
        for side, stack in (("down", down), ("up", up)):
            name = f"{layer}.lora.{side}.weight"
            matrices.append(MatrixInfo(name, layer, side, *stack.shape[1:]))
            weights[name] = stack.astype(np.float32)
    n = len(labels)
    table = pa.table({"adapter": [f"a{index}" for index in range(n)], label: labels, **columns})
    source = Source(matrices, table, lambda: iter([weights]))
    prepare(source, "made", "attention", folder / "data")
    label_adapters(folder / "data", label, group, SplitSettings(), folder / "labels")
    return folder / "data", folder / "labels"


def folder_fingerprint(folder):
    """Return what a plan knows of a folder that nothing was laid out from yet."""
    return joint_fingerprint({name: file_fingerprint(file) for name, file in folder_files(folder).items()})
