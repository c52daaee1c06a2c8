"""Write a feature file: one parquet, one row an adapter, one float32 column a feature."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lorascope.files import atomic_path, with_metadata

_WRITE_BUFFER = 1 << 20


@contextmanager
def feature_writer(
    path: str | Path, columns: Sequence[str], metadata: dict
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a row group; the file appears when the context ends without error.

    Args:
        path: where the file goes.
        columns: names of the features.
        metadata: stored in the file.

    Yields:
        A function of one argument: contiguous float32 [features, adapters].
    """
    # Not nullable: a feature always exists, and parquet then stores no validity levels.
    schema = pa.schema([pa.field(column, pa.float32(), nullable=False) for column in columns])
    schema = with_metadata(schema, metadata)
    # Buffered: parquet writes each of thousands of columns in two small pieces.
    with (
        atomic_path(path) as temp,
        pa.output_stream(temp, buffer_size=_WRITE_BUFFER) as sink,
        pq.ParquetWriter(
            sink,
            schema,
            compression="lz4",
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        ) as writer,
    ):
        yield lambda table: writer.write_batch(_record_batch(table, schema))


def _record_batch(table: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
    rows = table.shape[1]
    # One Arrow array over the whole table and slices of it cost less than an array per column; and built
    # from its buffer, because pa.array would import pandas.
    values = pa.Array.from_buffers(pa.float32(), table.size, [None, pa.py_buffer(table)])
    columns = [values.slice(position, rows) for position in range(0, table.size, rows)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
