"""The passport and the certificates of invariance as tidy tables."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lorascope.files import read_json
from lorascope.stats.columns import SANITY, fields

PASSPORT_SCHEMA = pa.schema(
    [
        *fields(("dataset", "section", "fact"), pa.string()),
        pa.field("value", pa.float64()),
        pa.field("text", pa.string()),
        SANITY,
    ]
)
CHANGES = ("signs", "rescaling", "basis", "refactoring", "padding", "float16", "int8")
INVARIANCE_SCHEMA = pa.schema(
    [
        *fields(("dataset", "representation"), pa.string()),
        *fields(("invariant", "claimed", "holds"), pa.bool_()),
        *fields((f"drift_{change}" for change in CHANGES), pa.float64()),
        pa.field("reason", pa.string()),
        pa.field("adapters", pa.int64()),
        SANITY,
    ]
)
# Said once for the file, and no fact about the data set.
LEFT_OUT = {"dataset", "provenance"}


def read_passport(study: dict) -> dict | None:
    """Return a study's passport; None where it is not made."""
    return _read(study.get("passport"))


def passport_table(passport: dict | None) -> pa.Table:
    """One row a fact: a number in ``value``, or words in ``text``."""
    if passport is None:
        return PASSPORT_SCHEMA.empty_table()
    rows = []
    for section, content in passport.items():
        if section not in LEFT_OUT:
            for path, value in _leaves(content):
                number = isinstance(value, int | float)
                fact = {"value": float(value)} if number else {"text": str(value)}
                names = {name: passport[name] for name in ("dataset", "sanity")}
                rows.append({**names, "section": section, "fact": "/".join(path), **fact})
    return pa.Table.from_pylist(rows, PASSPORT_SCHEMA)


def _leaves(content: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(content, dict):
        for name, inner in content.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(content, list):
        for place, inner in enumerate(content):
            yield from _leaves(inner, (*path, str(place)))
    elif content is not None:
        yield path, content


def read_invariance(study: dict) -> dict | None:
    """Return the certificates of a study's representations; None where they are not made."""
    return _read(study.get("invariance"))


def invariance_table(dataset: str, certificate: dict | None, sanity: bool) -> pa.Table:
    """One row a representation."""
    rows = [
        {
            "dataset": dataset,
            "sanity": sanity,
            "adapters": certificate["adapters"],
            **{name: found[name] for name in ("representation", "invariant", "claimed", "holds", "reason")},
            **{f"drift_{change}": found["drifts"][change] for change in CHANGES},
        }
        for found in (certificate or {"representations": []})["representations"]
    ]
    return pa.Table.from_pylist(rows, INVARIANCE_SCHEMA)


def _read(path: str | None) -> dict | None:
    return read_json(path) if path is not None and Path(path).exists() else None
