"""Source `zoo`: the shards of adapters that the workflow trained itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from safetensors import SafetensorError, safe_open

from lorascope.adapters.names import MatrixInfo, check_matrices, parse_matrix_name
from lorascope.data.sources.base import Batch, Source
from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.files import read_table


def load_zoo(shards: Sequence[str | Path]) -> Source:
    """Read shards of stacked PEFT tensors and the table beside each.

    Args:
        shards: ``.safetensors`` files; each has a ``.parquet`` of the same name with one row an adapter.

    Raises:
        LorascopeError: no shards, or one that is truncated or has other tensors than the first.
    """
    if not shards:
        raise LorascopeError("zoo: no shards; name the zoo's .safetensors files")
    tables = [read_table(Path(shard).with_suffix(".parquet")) for shard in shards]
    matrices = _matrices(shards[0])
    check_matrices(matrices, str(shards[0]))

    def batches() -> Iterator[Batch]:
        for shard in shards:
            yield _read(shard, matrices)

    return Source(matrices, pa.concat_tables(tables), batches, {"shards": len(shards)})


def _matrices(shard: str | Path) -> list[MatrixInfo]:
    matrices = []
    try:
        with safe_open(shard, framework="numpy") as opened:
            for column in sorted(opened.keys()):
                named = parse_matrix_name(column)
                if named is None:
                    raise LorascopeError(f"{shard}: '{column}' names no LoRA matrix")
                matrices.append(MatrixInfo(column, *named, *opened.get_slice(column).get_shape()[1:]))
    except (SafetensorError, FileNotFoundError) as error:
        raise _unreadable(shard, error) from None
    return matrices


def _read(shard: str | Path, matrices: Sequence[MatrixInfo]) -> Batch:
    try:
        with safe_open(shard, framework="numpy") as opened:
            return {matrix.column: opened.get_tensor(matrix.column) for matrix in matrices}
    except (SafetensorError, FileNotFoundError) as error:
        raise _unreadable(shard, error) from None


def _unreadable(shard: str | Path, error: Exception) -> LorascopeError:
    reason = f"not a readable shard ({error})"
    if isinstance(error, SafetensorError):
        return DamagedFileError(shard, reason)
    return LorascopeError(f"{shard}: {reason}; run again")
