"""From the weights of a layer group to feature files: one pass over the weights for any number of files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from lorascope.errors import LorascopeError
from lorascope.features.batch import MatrixBatch
from lorascope.features.feature_file import feature_writer
from lorascope.features.namespace import as_numpy
from lorascope.features.registry import is_layered, load

# Adapters per row group. More rows spread parquet's cost per column over more values (11,520 columns for all
# representations of 128 matrices); fewer need less memory (4 bytes · rows · columns).
ROW_CHUNK = 8192
# Entries worked on at a time: enough that calls cost little; what is too large for the cache goes in tiles.
BLOCK_ENTRIES = 1 << 20
_LARGEST_TEMPORARY = 24 << 20


class Matrix(Protocol):
    """Name and shape of one matrix."""

    name: str
    rows: int
    cols: int


class Weights(Protocol):
    """What extraction needs of the weights of a layer group; lorascope.data.weights.GroupWeights has it."""

    matrices: Sequence[Matrix]
    n_adapters: int

    def read(self, matrix: int, start: int, stop: int) -> np.ndarray:
        """Return adapters ``start`` to ``stop`` of one matrix, float32 [stop − start, rows, cols]."""


# Position of the matrix, which of the rows asked for, and their values.
Block = tuple[int, slice, MatrixBatch]
Blocks = Callable[[Weights, int, int], Iterator[Block]]


@dataclass(frozen=True)
class FeatureFile:
    """A representation and the parquet file that it goes to.

    Attributes:
        representation: name in the registry; not a combination of others, whose parts' files serve it.
        path: where the file goes.
        metadata: stored in the file, with the representation's name added.
    """

    representation: str
    path: str | Path
    metadata: dict = field(default_factory=dict)


def host_blocks(weights: Weights, start: int, stop: int) -> Iterator[Block]:
    """Yield adapters ``start`` to ``stop``, matrix by matrix, as numpy arrays that stay in cache."""
    for index, matrix in enumerate(weights.matrices):
        values = weights.read(index, start, stop)
        for rows in row_blocks(stop - start, matrix.rows * matrix.cols, BLOCK_ENTRIES):
            yield index, rows, MatrixBatch(values[rows])


def row_blocks(rows: int, size: int, entries: int) -> Iterator[slice]:
    """Split ``rows`` matrices of ``size`` entries evenly, into blocks of about ``entries``."""
    step = -(-rows // max(round(rows * size / entries), 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def extract(
    weights: Weights,
    files: Sequence[FeatureFile],
    row_chunk: int = ROW_CHUNK,
    blocks: Blocks = host_blocks,
) -> None:
    """Compute representations of every matrix and write one parquet file each: one row an adapter, in order.

    Columns are float32, named ``<matrix name>/<feature name>``, matrix by matrix. Values depend neither on
    ``row_chunk`` nor on which representations are computed together nor on the number of threads. Memory is
    that of ``row_chunk`` adapters, whatever their number, and of parquet's index (1 kB per column and row
    group). No file appears before all are complete.

    Args:
        weights: the layer group's weights.
        files: what to compute and where to write it; intermediates are shared between representations.
        row_chunk: adapters per row group.
        blocks: gives the weights block by block, and with them the device that computes; values agree to
            1e-5 of a matrix's scale between devices.

    Raises:
        LorascopeError: a weight is NaN or infinite, or a representation is unknown or a combination.
    """
    modules = [_computing_module(file.representation) for file in files]
    _keep_freed_memory()
    # One thread: a row is too short to share, and sums split between threads would round differently.
    with ExitStack() as stack, threadpool_limits(1):
        writers = [
            _open_writer(stack, file, weights, module.NAMES)
            for file, module in zip(files, modules, strict=True)
        ]
        for start in range(0, weights.n_adapters, row_chunk):
            stop = min(start + row_chunk, weights.n_adapters)
            tables = _features_of_rows(blocks, weights, modules, start, stop)
            for write, table in zip(writers, tables, strict=True):
                write(table)


def _keep_freed_memory() -> None:
    """Make the allocator keep what temporary arrays free; else the kernel pages each of them in anew.

    glibc hands a freed block back at once if it is larger than any freed before (and up to 32 MiB), so
    freeing one large block beforehand is what tells it to keep the smaller ones.
    """
    np.empty(_LARGEST_TEMPORARY, np.uint8)


def _computing_module(representation: str):
    module = load(representation)
    if is_layered(representation):
        raise LorascopeError(f"representation '{representation}' is of layers; choose one of single matrices")
    if not hasattr(module, "compute"):
        raise LorascopeError(
            f"representation '{representation}' has no features of its own; extract {', '.join(module.PARTS)}"
        )
    return module


def _open_writer(stack: ExitStack, file: FeatureFile, weights: Weights, names: Sequence[str]):
    matrices = [matrix.name for matrix in weights.matrices]
    columns = [f"{matrix}/{name}" for matrix in matrices for name in names]
    metadata = {**file.metadata, "representation": file.representation}
    return stack.enter_context(feature_writer(file.path, columns, metadata))


def _features_of_rows(
    blocks: Blocks, weights: Weights, modules: Sequence, start: int, stop: int
) -> list[np.ndarray]:
    """Return per representation the features of some adapters, float32 [columns, stop − start]."""
    n_matrices = len(weights.matrices)
    tables = [np.empty((n_matrices, len(module.NAMES), stop - start), np.float32) for module in modules]
    for index, rows, batch in blocks(weights, start, stop):
        _refuse_non_finite(batch, weights.matrices[index].name, start + rows.start)
        for table, module in zip(tables, modules, strict=True):
            table[index, :, rows] = as_numpy(module.compute(batch)).T
    return [table.reshape(-1, stop - start) for table in tables]


def _refuse_non_finite(batch: MatrixBatch, matrix: str, first_row: int) -> None:
    finite = np.isfinite(as_numpy(batch.peak))
    if not finite.all():
        row = first_row + int(np.argmin(finite))
        raise LorascopeError(
            f"matrix '{matrix}': adapter row {row} has NaN or infinite weights; repair or remove the adapter"
        )
