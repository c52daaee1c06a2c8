"""What every source hands to `prepare`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from lorascope.adapters.names import MatrixInfo

# Row batches bound the memory of `prepare`: 512 adapters of the published shape are 0.2 GB.
BATCH_ROWS = 512

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Source:
    """A data set before it is laid out.

    Attributes:
        matrices: the columns, in the order of the source.
        adapters: one row an adapter: ``adapter`` (id), then whatever the source knows about it.
        batches: yields the weights in row order, as column → float32 array [n, rows, cols].
        origin: where the data came from; goes into the manifest.
        unreadable: row → why a matrix of the adapter cannot be read; filled as batches are, in which such a
            matrix is NaN.
        fingerprints: uint64 [adapters], equal where adapters are; None leaves it to `prepare`, for which
            adapters are equal when all their weights are.
    """

    matrices: list[MatrixInfo]
    adapters: pa.Table
    batches: Callable[[], Iterator[Batch]]
    origin: dict = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    fingerprints: np.ndarray | None = None
