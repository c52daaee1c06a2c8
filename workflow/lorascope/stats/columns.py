"""What the summary tables have in common: kinds of columns, and how a column is filled."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lorascope.stats.adapters import Adapters
from lorascope.stats.paired import holm

SANITY = pa.field("sanity", pa.bool_())


def fields(names: Iterable[str], kind: pa.DataType) -> list[pa.Field]:
    """Columns of one kind."""
    return [pa.field(name, kind) for name in names]


def mean_and_std(values: np.ndarray) -> tuple[float, float | None]:
    """Mean, and standard deviation (n−1) where there are two values; NaN for a loss that diverged."""
    with np.errstate(invalid="ignore"):
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def finite_table(table: pa.Table) -> pa.Table:
    """Return a table in which what is not a number (a diverged loss, an area of one class) is null."""
    for index, field in enumerate(table.schema):
        column = table.column(index).combine_chunks()
        if pa.types.is_floating(field.type):
            table = table.set_column(index, field, _finite(column))
        elif pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type):
            lists = pa.ListArray.from_arrays(
                column.offsets, _finite(column.values), field.type, mask=column.is_null()
            )
            table = table.set_column(index, field, lists)
    return table


def _finite(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))


def test_counts(adapters: Adapters) -> dict:
    """The columns that say on how much a row's test-set interval rests."""
    return {
        "test_adapters": len(adapters.test_units),
        "test_units": len(adapters.unit_sizes),
        "sanity": adapters.sanity,
    }


def holm_columns(rows: list[dict], name: str) -> None:
    """Give the rows that have ``name`` (a p-value) a ``<name>_holm``, corrected over all of them."""
    tested = [row for row in rows if row.get(name) is not None]
    for row, adjusted in zip(tested, holm([row[name] for row in tested]), strict=True):
        row[f"{name}_holm"] = adjusted


def with_constants(columns: dict, constants: dict, schema: pa.Schema) -> pa.Table:
    """Build a table from columns and from values that are the same in every row."""
    rows = len(next(iter(columns.values())))
    repeated = {name: [value] * rows for name, value in constants.items()}
    return pa.table({**columns, **repeated}).select(schema.names).cast(schema)
