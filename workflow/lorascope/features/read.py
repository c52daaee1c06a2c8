"""Feature files side by side as one numpy table."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from lorascope.errors import DamagedFileError, LorascopeError, is_out_of_memory
from lorascope.files import METADATA_KEY, PARQUET_ERRORS, check_parquet, content_is_wrong


def read_features(
    paths: Sequence[str | Path], matrices: Collection[str] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Read feature files of the same adapters and put their columns side by side.

    Args:
        paths: files that :func:`lorascope.features.extract.extract` wrote, in the order that the columns are
            to have; several for several layer groups or for a combination of representations.
        matrices: names of the matrices whose features are wanted; all if None.

    Returns:
        float32 [n_adapters, features] and the column names: ``<matrix>/<feature>``, or
        ``<matrix>/<representation>.<feature>`` when the files hold several representations.

    Raises:
        LorascopeError: a file is missing or damaged, files disagree in the number of adapters, or a
            matrix is in none of the files.
    """
    files = [_open(path) for path in paths]
    n_adapters = _common_rows(paths, files)
    chosen = [_chosen_columns(file, matrices) for file in files]
    names = _names(paths, files, chosen)
    if matrices is not None:
        _check_found(matrices, names, paths)
    table = np.empty((n_adapters, len(names)), np.float32)
    left = 0
    for path, file, columns in zip(paths, files, chosen, strict=True):
        if columns:
            _read_into(table[:, left : left + len(columns)], path, file, columns)
        left += len(columns)
    return table, names


def matrix_of(column: str) -> str:
    """Return the matrix that a feature column belongs to."""
    return column.rpartition("/")[0]


def _open(path: str | Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
        check_parquet(path, file)
        return file
    except FileNotFoundError:
        raise LorascopeError(f"{path}: no such file; extract its features first") from None
    except PARQUET_ERRORS as error:
        raise _damaged(path, error) from None


def _damaged(path: str | Path, error: Exception) -> Exception:
    reason = str(error).splitlines()[0]
    if is_out_of_memory(error):
        return MemoryError(reason)
    if content_is_wrong(error):
        return DamagedFileError(path, f"not a readable feature file ({reason})")
    return LorascopeError(f"{path}: not a readable feature file ({reason}); see to it and run again")


def _common_rows(paths: Sequence[str | Path], files: Sequence[pq.ParquetFile]) -> int:
    rows = [file.metadata.num_rows for file in files]
    for path, count in zip(paths, rows, strict=True):
        if count != rows[0]:
            raise LorascopeError(
                f"{path}: {count} adapters where {paths[0]} has {rows[0]}; delete both and run again"
            )
    return rows[0]


def _chosen_columns(file: pq.ParquetFile, matrices: Collection[str] | None) -> list[str]:
    columns = file.schema_arrow.names
    if matrices is None:
        return columns
    wanted = set(matrices)
    return [column for column in columns if matrix_of(column) in wanted]


def _names(
    paths: Sequence[str | Path], files: Sequence[pq.ParquetFile], chosen: Sequence[list[str]]
) -> list[str]:
    """Return the names of all chosen columns, told apart by representation where there are several."""
    representations = [_representation(path, file) for path, file in zip(paths, files, strict=True)]
    if len(set(representations)) == 1:
        return [column for columns in chosen for column in columns]
    return [
        f"{matrix}/{representation}.{feature}"
        for representation, columns in zip(representations, chosen, strict=True)
        for matrix, _, feature in (column.rpartition("/") for column in columns)
    ]


def _representation(path: str | Path, file: pq.ParquetFile) -> str:
    try:
        return json.loads(file.schema_arrow.metadata[METADATA_KEY])["representation"]
    except (TypeError, KeyError):
        raise DamagedFileError(path, "not a feature file") from None


def _check_found(matrices: Collection[str], names: Sequence[str], paths: Sequence[str | Path]) -> None:
    if absent := set(matrices) - {matrix_of(name) for name in names}:
        raise LorascopeError(
            f"{', '.join(map(str, paths))}: no features of matrix {', '.join(sorted(absent))}"
        )


def _read_into(table: np.ndarray, path: str | Path, file: pq.ParquetFile, columns: list[str]) -> None:
    """Fill ``table`` row group by row group, so that only one is in memory beside it."""
    start = 0
    for group in range(file.num_row_groups):
        try:
            rows = file.read_row_group(group, columns=columns, use_threads=False)
        except PARQUET_ERRORS as error:
            raise _damaged(path, error) from None
        (batch,) = rows.combine_chunks().to_batches()
        table[start : start + batch.num_rows] = batch.to_tensor(row_major=True).to_numpy()
        start += batch.num_rows
