"""Source `zoo`: the shards of adapters that the workflow trained itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from safetensors import SafetensorError, safe_open

from lorascope.adapters.names import MatrixInfo, check_matrices, parse_matrix_name
from lorascope.data.sources.base import Batch, Source
from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.files import read_table
from lorascope.tensor_files import read_tensors


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
            yield _chosen(shard, read_tensors(shard)[1], matrices)

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
    except FileNotFoundError:
        raise LorascopeError(f"{shard}: no such shard; run again") from None
    except SafetensorError as error:
        raise DamagedFileError(shard, f"not a readable shard ({error})") from None
    return matrices


def _chosen(shard: str | Path, tensors: Batch, matrices: Sequence[MatrixInfo]) -> Batch:
    columns = [matrix.column for matrix in matrices]
    if absent := [column for column in columns if column not in tensors]:
        raise LorascopeError(f"{shard}: lacks {absent[0]} of the first shard; delete it and run again")
    return {column: tensors[column] for column in columns}
