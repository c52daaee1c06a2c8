"""Arrow columns of matrices as arrays: the same numbers in every layout, and no copy where none is needed."""

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets.features.features import Array2DExtensionType
from hypothesis import given
from hypothesis import strategies as st

import published
from lorascope.data.columns import (
    as_float32,
    common_shape,
    is_matrix_type,
    may_be_bfloat16,
    read_matrices,
    storage_type,
)
from lorascope.data.sources.arrow import from_dataset

VALUES = np.random.default_rng(0).standard_normal((7, 3, 5)).astype(np.float32)


def nested(values, kind: str, number=None) -> pa.Array:
    """Return [n, rows, cols] as nested lists of one kind."""
    n, rows, cols = values.shape
    flat = pa.array(values.ravel(), type=number)
    if kind == "fixed_size_list":
        return pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(flat, cols), rows)
    array, offset = (pa.ListArray, np.int32) if kind == "list" else (pa.LargeListArray, np.int64)
    inner = array.from_arrays(np.arange(n * rows + 1, dtype=offset) * cols, flat)
    return array.from_arrays(np.arange(n + 1, dtype=offset) * rows, inner)


LAYOUTS = {
    "Array2D": published.array2d,
    **{
        kind: lambda values, kind=kind: nested(values, kind)
        for kind in ("list", "large_list", "fixed_size_list")
    },
}


def lies_in(array: np.ndarray, column: pa.Array) -> bool:
    """Tell whether the array is a view of one of the column's buffers."""
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    buffers = [np.frombuffer(buffer, np.uint8) for buffer in storage.buffers() if buffer]
    return any(np.shares_memory(array, buffer) for buffer in buffers)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_viewed_without_a_copy(layout):
    column = layout(VALUES)
    array = as_float32(column, "here")
    np.testing.assert_array_equal(array, VALUES)
    assert array.dtype == np.float32
    assert lies_in(array, column)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@given(bounds=st.tuples(st.integers(0, 7), st.integers(0, 7)).map(sorted))
def test_slices_of_every_layout(layout, bounds):
    start, stop = bounds
    column = layout(VALUES).slice(start, stop - start)
    array = as_float32(column, "here")
    assert len(array) == stop - start
    if len(array):
        np.testing.assert_array_equal(array, VALUES[start:stop])
        assert lies_in(array, column)


def test_a_column_as_datasets_itself_writes_it(tmp_path):
    features = datasets.Features({"m": datasets.Array2D((3, 5), "float32")})
    written = datasets.Dataset.from_dict({"m": VALUES}, features=features)
    assert written.data.schema.field("m").type == published.array2d(VALUES).type
    written.save_to_disk(tmp_path / "set")
    table = datasets.load_from_disk(str(tmp_path / "set")).with_format("arrow")[:]
    np.testing.assert_array_equal(as_float32(table["m"].combine_chunks(), "here"), VALUES)


@pytest.mark.parametrize("number", [pa.float16(), pa.float64()])
@pytest.mark.parametrize("kind", ["list", "large_list", "fixed_size_list"])
def test_other_floats_are_converted(kind, number):
    values = VALUES.astype(number.to_pandas_dtype())
    array = as_float32(nested(values, kind), "here")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values.astype(np.float32))


def test_doubles_beyond_float32_become_infinite_without_a_warning():
    # `prepare` refuses infinite values, and names column and row.
    values = np.full((1, 1, 2), 1e300)
    assert np.isinf(as_float32(nested(values, "list"), "here")).all()


def test_matrix_columns_are_told_from_others():
    assert is_matrix_type(published.array2d(VALUES).type)
    assert all(is_matrix_type(layout(VALUES).type) for layout in LAYOUTS.values())
    for other in (
        pa.float32(),
        pa.string(),
        pa.list_(pa.float32()),
        pa.list_(pa.list_(pa.int64())),
        pa.list_(pa.list_(pa.string())),
        pa.list_(pa.list_(pa.list_(pa.float32()))),
        pa.struct([("x", pa.float32())]),
    ):
        assert not is_matrix_type(other)


def test_the_storage_of_an_extension_type():
    assert storage_type(published.array2d(VALUES).type) == pa.list_(pa.list_(pa.float32()))
    assert storage_type(pa.float32()) == pa.float32()


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        ([[[1.0, 2.0]], None, [[3.0, 4.0]]], "here: row 1 is empty"),
        ([[[1.0, 2.0]], [None], [[3.0, 4.0]]], "here: row 1 is empty"),
        ([[[1.0, 2.0]], [[3.0, None]]], "here: has empty entries"),
        ([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]], "mixed shapes: row 1 has length 2, row 0 has 1"),
        ([[[1.0, 2.0]], [[3.0]]], "mixed shapes: row 1 has length 1, row 0 has 2"),
        ([[[1.0, 2.0]], []], "mixed shapes: row 1 has length 0"),
        ([[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], None]], "here: row 2 is empty"),
        ([[[1.0], [2.0]], [[3.0], [4.0, 5.0]]], "mixed shapes: row 1 has length 2, row 0 has 1"),
    ],
)
@pytest.mark.parametrize("list_", [pa.list_, pa.large_list])
def test_rows_that_are_no_equal_matrices_are_refused(refused, rows, pattern, list_):
    column = pa.array(rows, list_(list_(pa.float32())))
    with refused(pattern):
        as_float32(column, "here")


def test_the_row_in_a_refusal_counts_from_the_start_of_a_slice(refused):
    column = pa.array([None, [[1.0]], [[2.0]], None], pa.list_(pa.list_(pa.float32())))
    with refused("here: row 2 is empty"):
        as_float32(column.slice(1), "here")
    np.testing.assert_array_equal(as_float32(column.slice(1, 2), "here"), [[[1.0]], [[2.0]]])


def test_the_common_shape_is_that_of_most_rows():
    rows = [[[1.0]], None, [[1.0, 2.0]], [[3.0, 4.0]], [[1.0], [2.0]]]
    assert common_shape(pa.array(rows, pa.list_(pa.list_(pa.float32()))), "here") == (1, 2)
    assert common_shape(pa.array([None, []], pa.list_(pa.list_(pa.float32()))), "here") is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "is empty"),
        ([], "is empty"),
        ([None], "is empty"),
        ([[1.0, None]], "has empty entries"),
        ([[1.0, 2.0], [3.0]], "has rows of different lengths"),
        ([[1.0], [2.0]], "is (2, 1) where most adapters have (1, 2)"),
    ],
)
@pytest.mark.parametrize("list_", [pa.list_, pa.large_list])
def test_what_is_wrong_with_a_matrix_is_told_and_the_others_are_read(row, reason, list_):
    column = pa.array([[[1.0, 2.0]], row, [[3.0, 4.0]]], list_(list_(pa.float32())))
    values, problems = read_matrices(column, (1, 2), "here")
    assert problems == {1: reason}
    np.testing.assert_array_equal(values, [[[1.0, 2.0]], [[np.nan, np.nan]], [[3.0, 4.0]]])


def test_empty_rows_of_fixed_size_lists_are_refused(refused):
    column = pa.array([[[1.0, 2.0]], None], pa.list_(pa.list_(pa.float32(), 2), 1))
    with refused("here: row 1 is empty"):
        as_float32(column, "here")


def test_whole_numbers_are_refused(refused):
    with refused("here: values are int64, not floating-point"):
        as_float32(nested(np.ones((2, 1, 3), np.int64), "list"), "here")


@pytest.mark.parametrize("number", ["float16", "float32", "float64"])
def test_array2d_columns_of_every_float(tmp_path, number):
    features = datasets.Features({"m": datasets.Array2D((3, 5), number)})
    values = VALUES.astype(number)
    datasets.Dataset.from_dict({"m": values}, features=features).save_to_disk(tmp_path / "set")
    table = datasets.load_from_disk(str(tmp_path / "set")).with_format("arrow")[:]
    assert is_matrix_type(table["m"].type)
    array = as_float32(table["m"].combine_chunks(), "here")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values.astype(np.float32))


def test_every_float16_is_the_same_number_in_float32():
    # A NaN has many bit patterns; that it is one is all that counts.
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 1, 1)
    array = as_float32(nested(halves, "list", pa.float16()), "here")
    np.testing.assert_array_equal(array, torch.from_numpy(halves).float().numpy())


def test_doubles_are_rounded_to_the_nearest_and_denormals_stay():
    doubles = np.array([0.1, 1 + 2**-24, 1 + 3 * 2**-24, 1e-45, -1e-42, 3.4e38]).reshape(1, 2, 3)
    array = as_float32(nested(doubles, "list"), "here")
    np.testing.assert_array_equal(array, torch.from_numpy(doubles).float().numpy())


def test_datasets_writes_bfloat16_tensors_as_float32():
    tensors = torch.from_numpy(VALUES).bfloat16()
    column = datasets.Dataset.from_dict({"m": list(tensors)}).with_format("arrow")[:]["m"].combine_chunks()
    array = as_float32(column, "here")
    np.testing.assert_array_equal(array, tensors.float().numpy())
    assert lies_in(array, column)
    with pytest.raises(ValueError, match="bfloat16"):
        datasets.Array2D((3, 5), "bfloat16")()


WORDS = {
    "uint16": nested(VALUES.view(np.uint16).copy(), "list"),
    "int16": nested(VALUES.view(np.int16).copy(), "fixed_size_list"),
    "Array2D of uint16": pa.ExtensionArray.from_storage(
        Array2DExtensionType((3, 10), "uint16"), nested(VALUES.view(np.uint16).copy(), "list")
    ),
    "binary": pa.array([[[b"\x00\x3f"] * 5] * 3] * 7, pa.list_(pa.list_(pa.binary(2)))),
}


@pytest.mark.parametrize("column", WORDS.values(), ids=WORDS)
def test_words_that_may_be_bfloat16_are_refused(refused, column):
    assert may_be_bfloat16(column.type)
    (name, *_) = published.columns()
    with refused(f"here: column '{name}' is .*16-bit words that may be bfloat16.*; store it as float32"):
        from_dataset(datasets.Dataset(pa.table({name: column})), "here")


@pytest.mark.parametrize("number", [pa.float16(), pa.float32(), pa.int32(), pa.string(), pa.binary(4)])
def test_nothing_else_may_be_bfloat16(number):
    assert not may_be_bfloat16(pa.list_(pa.list_(number)))
