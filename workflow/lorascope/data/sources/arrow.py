"""Sources `hub` and `disk`: data sets with one 2-D column a matrix, as published on the Hugging Face hub."""

import json
import mmap
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lorascope.adapters.names import MatrixInfo, check_layers, check_matrices, parse_matrix_name
from lorascope.data.columns import common_shape, is_matrix_type, may_be_bfloat16, read_matrices
from lorascope.data.sources.base import BATCH_ROWS, Batch, Source
from lorascope.errors import LorascopeError
from lorascope.files import parquet_errors

_REPLACE = "replace it"
# How the hub names the files of a split.
_OF_SPLIT = re.compile(r"(\w[\w.]*)-\d{5}-of-\d{5}")
_NO_DATA_SET = "neither a data set written by save_to_disk nor a folder of parquet files"


def load_hub_folder(path: str, split: str) -> Source:
    """Load a folder in any layout of the hub with ``datasets.load_dataset``.

    Raises:
        LorascopeError: the data set cannot be read or lacks the columns that are needed.
    """
    import datasets

    try:
        dataset = datasets.load_dataset(path, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise LorascopeError(f"{path}: cannot be loaded: {_one_line(error)}") from None
    return from_dataset(dataset, path, _whole_files(dataset))


def load_parquet(files: Sequence[Path], where: str) -> Source:
    """Load parquet files, in order.

    Raises:
        LorascopeError: one cannot be read, or lacks the columns that are needed.
    """
    schema = _plain_schema(files[0])
    columns = matrix_columns(schema, where)
    for file in files[1:]:
        other = _plain_schema(file)
        if odd := set(other.names) ^ set(schema.names):
            raise LorascopeError(
                f"{file}: columns differ from those of {files[0].name}: {', '.join(sorted(odd)[:5])}"
            )
        matrix_columns(other, str(file))

    def batches() -> Iterator[pa.Table]:
        for file in files:
            with parquet_errors(file, _REPLACE), pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(BATCH_ROWS, columns=columns):
                    yield pa.Table.from_batches([batch])

    others = [name for name in schema.names if name not in columns]
    n_adapters = sum(pq.read_metadata(file).num_rows for file in files)
    names = {name: told["names"] for name, told in hf_features(schema).items() if "names" in told}
    table = with_class_names(_joined(files, others, where), names)
    return _source(table, n_adapters, batches, where)


def load_disk(path: str, split: str) -> Source:
    """Load what ``save_to_disk`` wrote, or a folder of parquet files.

    Raises:
        LorascopeError: neither is there, or the data set lacks the columns that are needed.
    """
    import datasets

    files = parquet_files(path, split)
    if files:
        return load_parquet(files, path)
    try:
        dataset = datasets.load_from_disk(path)
    except IndexError:
        # All that datasets says of a split that has no file.
        raise LorascopeError(f"{path}: the data set is empty, or one of its splits is") from None
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise LorascopeError(f"{path}: {_NO_DATA_SET} ({_one_line(error)})") from None
    if isinstance(dataset, datasets.DatasetDict):
        if split not in dataset:
            raise LorascopeError(f"{path}: no split '{split}'; splits: {', '.join(dataset)}; set hub_split")
        dataset = dataset[split]
    return from_dataset(dataset, path, _whole_files(dataset))


def parquet_files(path: str, split: str) -> list[Path]:
    """Return the parquet files of a folder, or those of a split in its folder ``data``, as on the hub.

    Raises:
        LorascopeError: the folder ``data`` has other splits only.
    """
    folder = Path(path)
    found = [*folder.glob("*.parquet"), *folder.glob("data/*.parquet")]
    return [
        folder / name for name in of_split([str(file.relative_to(folder)) for file in found], split, path)
    ]


def of_split(names: Sequence[str], split: str, where: str) -> list[str]:
    """Return those of some parquet files that lie at the top, or else those of a split in ``data``.

    Raises:
        LorascopeError: the folder ``data`` has other splits only.
    """
    paths = sorted(map(PurePosixPath, names))
    if found := [str(path) for path in paths if len(path.parts) == 1]:
        return found
    found = [path for path in paths if path.parts[:-1] == ("data",)]
    splits = {match[1] for path in found if (match := _OF_SPLIT.match(path.name))}
    if splits and split not in splits:
        raise LorascopeError(
            f"{where}: no split '{split}'; splits: {', '.join(sorted(splits))}; set hub_split"
        )
    return [str(path) for path in found if not splits or path.name.startswith(f"{split}-")]


def disk_schema(path: str, split: str) -> pa.Schema:
    """Return the schema of a data set on disk without loading it.

    Raises:
        LorascopeError: there is no data set at ``path``, or it is empty or damaged.
    """
    if files := parquet_files(path, split):
        return _plain_schema(files[0])
    try:
        return _arrow_schema(Path(path))
    except (OSError, ValueError, KeyError) as error:
        raise LorascopeError(f"{path}: {_NO_DATA_SET} ({_one_line(error)})") from None


def _arrow_schema(folder: Path) -> pa.Schema:
    """Return the schema of what ``save_to_disk`` wrote; all splits of a DatasetDict have the same columns."""
    states = [*folder.glob("state.json"), *sorted(folder.glob("*/state.json"))]
    if not states:
        raise FileNotFoundError("no state.json")
    written = [(state.parent, json.loads(state.read_text())["_data_files"]) for state in states]
    files = [parent / entry["filename"] for parent, entries in written for entry in entries]
    if not files:
        raise LorascopeError(f"{folder}: the data set is empty")
    with pa.OSFile(str(files[0])) as stream, pa.ipc.open_stream(stream) as reader:
        return reader.schema


def _whole_files(dataset) -> list[str]:
    """Return the Arrow files that a data set just loaded consists of; none if it is only a part of them."""
    files = [entry["filename"] for entry in dataset.cache_files]
    return files if sum(map(_rows_of, files)) == dataset.num_rows else []


def _rows_of(file: str) -> int:
    with pa.memory_map(file) as mapped, pa.ipc.open_stream(mapped) as reader:
        return sum(batch.num_rows for batch in reader)


def from_dataset(dataset, where: str, files: Sequence[str] = ()) -> Source:
    """Wrap a ``datasets.Dataset``; an indices mapping (after ``select`` or ``shuffle``) is followed.

    Args:
        dataset: the data set.
        where: names it in messages.
        files: Arrow files that hold exactly its rows, in order, if there are such; weights are then read
            from these, and no more of them is in memory than one batch.
    """
    view = dataset.with_format("arrow")
    columns = matrix_columns(view.features.arrow_schema, where)

    def batches() -> Iterator[pa.Table]:
        if files:
            yield from _streamed(files, columns)
        else:
            yield from view.select_columns(columns).iter(batch_size=BATCH_ROWS)

    others = [name for name in dataset.column_names if name not in columns]
    table = view.select_columns(others)[:] if others else pa.table({})
    names = {name: getattr(dataset.features[name], "names", None) for name in others}
    table = with_class_names(table, {name: told for name, told in names.items() if told})
    return _source(table, dataset.num_rows, batches, where)


def with_class_names(table: pa.Table, names: dict[str, list[str]]) -> pa.Table:
    """Return a table with the names of classes in the place of their numbers."""
    for column, class_names in names.items():
        # -1 is how datasets writes a class that is not given.
        codes = pc.if_else(pc.less(table[column], 0), None, table[column])
        named = pa.array(class_names).take(codes)
        table = table.set_column(table.column_names.index(column), column, named)
    return table


def hf_features(schema: pa.Schema) -> dict[str, dict]:
    """Return what ``datasets`` wrote of columns into the schema of a parquet file; empty without it."""
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = stored.get("info", {}).get("features", {})
    return {name: told for name, told in features.items() if isinstance(told, dict)}


def _streamed(files: Sequence[str], columns: list[str]) -> Iterator[pa.Table]:
    """Yield the rows of Arrow files in batches that are views of the files."""
    for file in files:
        with Path(file).open("rb") as opened:
            pages = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        with pa.ipc.open_stream(pa.py_buffer(pages)) as reader:
            for written in reader:
                for start in range(0, written.num_rows, BATCH_ROWS):
                    yield pa.Table.from_batches([written.slice(start, BATCH_ROWS)]).select(columns)
                    # Pages once read count as this process's memory until they are given back.
                    pages.madvise(mmap.MADV_DONTNEED)


def _plain_schema(file: Path) -> pa.Schema:
    with parquet_errors(file, _REPLACE):
        return pq.read_schema(file)


def _joined(files: list[Path], columns: list[str], where: str) -> pa.Table:
    """Read ``columns`` of all files; types may widen from file to file, as where a column is empty in one."""
    tables = []
    for file in files:
        with parquet_errors(file, _REPLACE):
            tables.append(pq.read_table(file, columns=columns, partitioning=None))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise LorascopeError(f"{where}: the files' columns differ in type: {_one_line(error)}") from None


def matrix_columns(schema: pa.Schema, where: str) -> list[str]:
    """Return the columns that hold LoRA matrices.

    Raises:
        LorascopeError: no such column, a layer that is neither attn1 nor attn2, a 2-D column with a name
            that is not known, or a known name that holds no 2-D values.
    """
    known = [name for name in schema.names if parse_matrix_name(name)]
    for name in known:
        _refuse_other_than_floats(name, schema.field(name).type, where)
    strangers = [
        name for name in schema.names if name not in known and is_matrix_type(schema.field(name).type)
    ]
    if strangers:
        raise LorascopeError(
            f"{where}: neither attn1 nor attn2: {', '.join(strangers[:8])}; remove these columns"
        )
    check_layers({name: parse_matrix_name(name)[0] for name in known}, where)
    return known


def _refuse_other_than_floats(column: str, field_type: pa.DataType, where: str) -> None:
    if may_be_bfloat16(field_type):
        raise LorascopeError(
            f"{where}: column '{column}' is {field_type}, 16-bit words that may be bfloat16, float16 or "
            "whole numbers; store it as float32"
        )
    if not is_matrix_type(field_type):
        raise LorascopeError(f"{where}: column '{column}' is {field_type}, not a 2-D array of floats")


def _source(
    table: pa.Table, n_adapters: int, batches: Callable[[], Iterator[pa.Table]], where: str
) -> Source:
    if n_adapters == 0:
        raise LorascopeError(f"{where}: the data set is empty")
    first = next(batches())
    matrices = [_matrix_info(name, _one_chunk(first[name]), where) for name in first.column_names]
    check_matrices(matrices, where)
    unreadable: dict[int, str] = {}

    def arrays() -> Iterator[Batch]:
        start = 0
        for batch in batches():
            arrays = {}
            for matrix in matrices:
                column, shape = _one_chunk(batch[matrix.column]), (matrix.rows, matrix.cols)
                arrays[matrix.column], problems = read_matrices(column, shape, f"{where}: '{matrix.column}'")
                for row, problem in problems.items():
                    unreadable.setdefault(start + row, f"column '{matrix.column}' {problem}")
            yield arrays
            start += batch.num_rows

    return Source(matrices, _adapter_table(table, n_adapters), arrays, {"path": where}, unreadable)


def _matrix_info(name: str, column: pa.Array, where: str) -> MatrixInfo:
    layer, side = parse_matrix_name(name)
    shape = common_shape(column, f"{where}: column '{name}'")
    if shape is None:
        raise LorascopeError(f"{where}: column '{name}' is empty in the first {len(column)} adapters")
    return MatrixInfo(name, layer, side, *shape)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _adapter_table(table: pa.Table, n_adapters: int) -> pa.Table:
    """Return the columns that are no matrices behind a column of ids made of row numbers."""
    scalars = {name: table[name] for name in table.column_names if not pa.types.is_nested(table[name].type)}
    ids = pa.array([f"{row:06d}" for row in range(n_adapters)])
    return pa.table(
        {"adapter": ids, **{name: column for name, column in scalars.items() if name != "adapter"}}
    )


def _one_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
