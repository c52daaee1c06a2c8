"""What the parts of a split have in common although they should not: images, groups, concepts."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from lorascope.data.split import TEST, TRAIN, VALIDATION

IMAGES, GROUPS, CONCEPTS = "images", "groups", "concepts"
GROUP = "group"


@dataclass(frozen=True)
class Overlap:
    """How one column's values are shared between parts.

    Attributes:
        kind: ``images`` (what an adapter was trained on), ``groups`` (what the study keeps together) or
            ``concepts`` (a finer name of the class).
        column: where they stand.
        values: distinct values.
        in_train_and_validation, in_train_and_test: values that both parts have.
        test_adapters: adapters of the test part that have a value of the training part.
    """

    kind: str
    column: str
    values: int
    in_train_and_validation: int
    in_train_and_test: int
    test_adapters: int


def overlaps(table: pa.Table, concepts: Iterable[str]) -> list[Overlap]:
    """Compare the parts by every column that names images or groups, and by ``concepts``.

    Args:
        table: label and split table; a column of lists names what an adapter was trained on.
    """
    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    kinds = dict.fromkeys(lists, IMAGES)
    kinds |= dict.fromkeys(concepts, CONCEPTS)
    if GROUP in table.column_names:
        kinds[GROUP] = GROUPS
    parts = table["split"].to_pylist()
    return [_overlap(kind, name, table[name].to_pylist(), parts) for name, kind in kinds.items()]


def _overlap(kind: str, column: str, values: list, parts: list[str]) -> Overlap:
    members = [set(value) if isinstance(value, list) else {value} for value in values]
    of_part = {part: set() for part in (TRAIN, VALIDATION, TEST)}
    for own, part in zip(members, parts, strict=True):
        # A sanity check's adapters are in every part: nothing is held out that could overlap.
        if part in of_part:
            of_part[part] |= own
    train = of_part[TRAIN]
    return Overlap(
        kind,
        column,
        values=len(set().union(*members)),
        in_train_and_validation=len(train & of_part[VALIDATION]),
        in_train_and_test=len(train & of_part[TEST]),
        test_adapters=sum(
            part == TEST and bool(own & train) for own, part in zip(members, parts, strict=True)
        ),
    )
