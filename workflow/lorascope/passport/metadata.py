"""What the source's table knows of each adapter besides its class: recipe, outcomes of training, names."""

import math
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lorascope.data.labels import OWN_COLUMNS

IDS = frozenset({"id", "name", "seed", "path", "file", "filename", "folder", "leaf_id", "hash", "uuid"})
ID_ENDINGS = ("_id", "_ids", "_path", "_hash", "_seed")
# What training wrote down afterwards tells of the images, not of the recipe.
OUTCOME = "loss"
# More values of a text than these are told as one.
CATEGORIES = 32


@dataclass
class Metadata:
    """The columns of an adapter table, sorted by what they can tell.

    Attributes:
        recipe: set before training and different between adapters.
        outcomes: written down by training (losses).
        constant: column → the one value that all adapters have.
        concepts: texts that are another, finer name of the class.
        unused: column → why it is none of these.
    """

    recipe: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    constant: dict[str, object] = field(default_factory=dict)
    concepts: list[str] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)


def sort_columns(table: pa.Table) -> Metadata:
    """Sort the columns of a label and split table that are not lorascope's own."""
    found = Metadata()
    labels = table["label"].cast(pa.string()).combine_chunks()
    for name in table.column_names:
        if name not in OWN_COLUMNS:
            _sort(found, name, plain(table[name]), labels)
    return found


def plain(column: pa.ChunkedArray) -> pa.Array:
    """Return numbers or texts: of a list its length, of a time its number."""
    array = column.combine_chunks()
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pc.list_value_length(array)
    if pa.types.is_dictionary(kind):
        return array.dictionary_decode()
    if pa.types.is_temporal(kind):
        return pc.cast(array.cast(pa.int64(), safe=False), pa.float64())
    return array.cast(pa.int8()) if pa.types.is_boolean(kind) else array


def _sort(found: Metadata, name: str, column: pa.Array, labels: pa.Array) -> None:
    values = len(pc.unique(column))
    text = _is_text(column)
    if not text and not is_number(column):
        found.unused[name] = f"of type {column.type}"
    elif values == 1:
        found.constant[name] = _told(column[0])
    elif text and column.equals(labels.cast(column.type)):
        found.unused[name] = "the label itself"
    elif name.lower() in IDS or name.lower().endswith(ID_ENDINGS):
        found.unused[name] = "an id"
    elif values == len(column) and not pa.types.is_floating(column.type):
        found.unused[name] = "numbers the adapters"
    elif text and _names_class(column, labels):
        found.concepts.append(name)
    elif OUTCOME in name.lower():
        found.outcomes.append(name)
    else:
        found.recipe.append(name)


def _is_text(column: pa.Array) -> bool:
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


def _told(value: pa.Scalar) -> object:
    """Return a value that JSON has: a number that is not finite is told in words."""
    plain_value = value.as_py()
    return (
        str(plain_value) if isinstance(plain_value, float) and not math.isfinite(plain_value) else plain_value
    )


def is_number(column: pa.Array) -> bool:
    """Tell whether a column holds numbers."""
    return pa.types.is_integer(column.type) or pa.types.is_floating(column.type)


def _names_class(column: pa.Array, labels: pa.Array) -> bool:
    """Tell whether each value belongs to one class alone."""
    both = pa.table({"value": column, "label": labels}).group_by(["value", "label"]).aggregate([]).num_rows
    return both == len(pc.unique(column))


def as_features(table: pa.Table, columns: list[str]) -> np.ndarray:
    """Return columns as numbers, float32 [n, features]: texts one-hot, a column more for what is absent."""
    parts = [_numbers(plain(table[name])) for name in columns]
    return np.hstack([np.empty((table.num_rows, 0)), *parts]).astype(np.float32)


def _numbers(column: pa.Array) -> np.ndarray:
    if _is_text(column):
        values, counts = np.unique(np.array(column.fill_null("").to_pylist()), return_counts=True)
        common = values[np.argsort(-counts, kind="stable")][:CATEGORIES]
        return np.array(column.fill_null("").to_pylist())[:, None] == common
    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = np.isfinite(numbers)
    filled = np.where(known, numbers, numbers[known].mean() if known.any() else 0.0)
    return np.stack([filled, known], axis=1) if not known.all() else filled[:, None]
