"""Arrow columns of matrices as float32 arrays: a view where the layout allows, else one vectorised copy."""

from collections import Counter

import numpy as np
import pyarrow as pa

from lorascope.errors import LorascopeError


class _IrregularError(LorascopeError):
    """A column in which some matrices are not what the others are."""


def _storage(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def storage_type(field_type: pa.DataType) -> pa.DataType:
    """Return the plain Arrow type behind an extension type such as the ``Array2D`` of datasets."""
    return field_type.storage_type if isinstance(field_type, pa.BaseExtensionType) else field_type


def is_matrix_type(field_type: pa.DataType) -> bool:
    """Tell whether a column of this type holds one 2-D floating-point matrix a row (two nested lists)."""
    outer = storage_type(field_type)
    if not _is_list(outer) or not _is_list(outer.value_type):
        return False
    return pa.types.is_floating(outer.value_type.value_type)


def may_be_bfloat16(field_type: pa.DataType) -> bool:
    """Tell whether a column holds matrices of 16-bit words, as somebody may have stored bfloat16 numbers.

    Arrow has no type for these, and datasets writes tensors of them as float32. Words that were stored
    in another way could as well be float16, or whole numbers: nothing in the file tells.
    """
    word = storage_type(field_type)
    while _is_list(word):
        word = word.value_type
    return word in (pa.uint16(), pa.int16(), pa.binary(2))


def _is_list(type_: pa.DataType) -> bool:
    return pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)


def _unnest(lists: pa.Array, where: str, per_adapter: int = 1) -> tuple[pa.Array, int]:
    """Return the concatenated items of equally long lists, and that length."""
    if lists.null_count:
        row = int(np.argmax(lists.is_null().to_numpy(zero_copy_only=False))) // per_adapter
        raise _IrregularError(f"{where}: row {row} is empty; remove the adapter or fill it in")
    if pa.types.is_fixed_size_list(lists.type):
        return lists.flatten(), lists.type.list_size
    offsets = lists.offsets.to_numpy()
    lengths = np.diff(offsets)
    if len(lengths) == 0:
        return lists.flatten(), 0
    if (lengths != lengths[0]).any():
        odd = int(np.argmax(lengths != lengths[0]))
        raise _IrregularError(
            f"{where}: mixed shapes: row {odd // per_adapter} has length {lengths[odd]}, "
            f"row 0 has {lengths[0]}; a data set needs one shape a matrix"
        )
    return lists.values.slice(offsets[0], offsets[-1] - offsets[0]), int(lengths[0])


def as_float32(column: pa.Array, where: str) -> np.ndarray:
    """Return a column of matrices as one array, shape [adapters, rows, cols], float32.

    Zero-copy for float32 values, as which datasets also writes bfloat16 tensors. float16 is converted
    without loss, float64 is rounded (what float32 cannot hold becomes infinite). ``where`` names the column
    in messages.

    Raises:
        LorascopeError: empty rows, matrices of different shapes, or values that are not floating-point.
    """
    rows_of_adapters, n_rows = _unnest(_storage(column), where)
    values, n_cols = _unnest(_storage(rows_of_adapters), where, max(n_rows, 1))
    if not pa.types.is_floating(values.type):
        raise LorascopeError(f"{where}: values are {values.type}, not floating-point")
    if values.null_count:
        raise _IrregularError(f"{where}: has empty entries; fill them in or remove the adapters")
    flat = values.to_numpy(zero_copy_only=True)
    with np.errstate(over="ignore"):
        return flat.astype(np.float32, copy=False).reshape(len(column), n_rows, n_cols)


Shape = tuple[int, int]


def common_shape(column: pa.Array, where: str) -> Shape | None:
    """Return the shape that most matrices of a column have; None where none is whole.

    Raises:
        LorascopeError: values that are not floating-point.
    """
    if (found := _regular(column, where)) is not None:
        return found.shape[1:]
    read = (_one(matrix) for matrix in _storage(column))
    shapes = Counter(matrix.shape for matrix in read if isinstance(matrix, np.ndarray))
    return max(shapes, key=shapes.get, default=None)


def read_matrices(column: pa.Array, shape: Shape, where: str) -> tuple[np.ndarray, dict[int, str]]:
    """Return a column of matrices as one array, and what is wrong with those that cannot be read.

    Args:
        column: of matrices.
        shape: rows and columns that each must have.
        where: names the column in messages.

    Returns:
        float32 [adapters, rows, cols], NaN where a matrix cannot be read; row → reason.

    Raises:
        LorascopeError: values that are not floating-point.
    """
    found = _regular(column, where)
    if found is not None and found.shape[1:] == shape:
        return found, {}
    values, problems = np.full((len(column), *shape), np.nan, np.float32), {}
    # Row by row, which is slow: only a batch with something wrong in it comes here.
    for row, matrix in enumerate(map(_one, _storage(column))):
        if isinstance(matrix, str):
            problems[row] = matrix
        elif matrix.shape != shape:
            problems[row] = f"is {matrix.shape} where most adapters have {shape}"
        else:
            values[row] = matrix
    return values, problems


def _regular(column: pa.Array, where: str) -> np.ndarray | None:
    """Return a column whose matrices are whole and alike in shape; None for any other."""
    try:
        return as_float32(column, where) if len(column) else None
    except _IrregularError:
        return None


def _one(matrix: pa.Scalar) -> np.ndarray | str:
    """Return one matrix as float32 [rows, cols], or what is wrong with it."""
    rows = matrix.as_py()
    if not rows or any(row is None for row in rows):
        return "is empty"
    if len({len(row) for row in rows}) != 1:
        return "has rows of different lengths"
    if any(value is None for row in rows for value in row):
        return "has empty entries"
    with np.errstate(over="ignore"):
        return np.array(rows, np.float64).astype(np.float32)
