"""Source `sanity`: five random adapters that show within seconds whether everything runs."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from lorascope.adapters.architectures import published_matrices, sd15_shapes
from lorascope.data.sources.base import Batch, Source

LABELS = ("cat", "dog", "ship", "cat", "dog")
N_LAYERS = 20


def sanity_layers() -> list[str]:
    """Return the first 20 adapted layers of Stable Diffusion 1.5."""
    return list(sd15_shapes())[:N_LAYERS]


def load_sanity(seed: int = 0) -> Source:
    """Make 5 rank-1 adapters of 3 classes: random numbers in true shapes, so no score means anything."""
    matrices = published_matrices()[: 2 * N_LAYERS]

    def batches() -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        yield {
            matrix.column: 0.01 * rng.standard_normal((len(LABELS), matrix.rows, matrix.cols), np.float32)
            for matrix in matrices
        }

    ids = [f"sanity-{index}" for index in range(len(LABELS))]
    return Source(matrices, pa.table({"adapter": ids, "label": LABELS}), batches, {"seed": seed})
