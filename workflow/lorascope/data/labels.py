"""From the table of a source to the label and split table that probes use."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lorascope.data.label_columns import require_column
from lorascope.data.prepare import FINGERPRINT
from lorascope.data.split import ALL, PARTS, TRAIN, SplitSettings, check_classes, split_adapters
from lorascope.errors import LorascopeError
from lorascope.files import read_json, read_table, write_json, write_table
from lorascope.wording import plural

OWN_COLUMNS = ("adapter", "label", "split", "group")


def label_adapters(
    data_dir: str | Path,
    label: str,
    group: str | None,
    split: SplitSettings,
    out_dir: str | Path,
    provenance: dict | None = None,
) -> dict:
    """Write ``adapters.parquet`` (adapter, label, split, group, metadata) and ``manifest.json``.

    Args:
        data_dir: what :func:`lorascope.data.prepare.prepare` wrote.
        label: column of the classes.
        group: column whose values must not be in two parts, or None.
        split: shares and seed; unused when the source itself says ``split`` (a zoo does: its images
            were parted before the first adapter was trained).
        out_dir: folder to write into.
        provenance: stored in the manifest.

    Returns:
        The manifest.

    Raises:
        LorascopeError: no such column, empty labels, one class, a class too small, groups too few.
    """
    table = read_table(Path(data_dir) / "source.parquet")
    description = read_json(Path(data_dir) / "source.json")
    where = description["dataset"]
    labels = _column(table, label, where, "label").cast(pa.string()).to_pylist()
    classes = check_classes(labels, where)
    duplicates = duplicate_sets(table[FINGERPRINT].to_numpy())
    groups = _column(table, group, where, "group").cast(pa.string()).to_pylist() if group else None
    parts = _parts(table, labels, groups, duplicates, split, where)
    adapters = _adapter_table(table, labels, parts, groups)
    manifest = {
        **description,
        "classes": classes,
        "split": {part: sum(value in (part, ALL) for value in parts) for part in PARTS},
        "sanity": ALL in parts,
        "duplicates": [table["adapter"].take(pa.array(members)).to_pylist() for members in duplicates],
        **(provenance or {}),
    }
    write_table(Path(out_dir) / "adapters.parquet", adapters)
    write_json(Path(out_dir) / "manifest.json", manifest)
    return manifest


def _column(table: pa.Table, name: str, where: str, role: str) -> pa.ChunkedArray:
    require_column(name, [column for column in table.column_names if column != FINGERPRINT], where, role)
    column = table[name]
    # pandas writes what is absent among numbers as NaN.
    absent = pc.is_null(column, nan_is_null=True).to_numpy()
    if absent.any():
        raise LorascopeError(
            f"{where}: {role} column '{name}' is empty in {plural(absent.sum(), 'row')}, "
            f"first in row {absent.argmax()}"
        )
    return column


def duplicate_sets(fingerprints: np.ndarray) -> list[list[int]]:
    """Return the sets of rows (two or more each) whose adapters have equal weights."""
    _, inverse, counts = np.unique(fingerprints, return_inverse=True, return_counts=True)
    return sorted(np.flatnonzero(inverse == value).tolist() for value in np.flatnonzero(counts > 1))


def _parts(table, labels, groups, duplicates, split: SplitSettings, where: str) -> list[str]:
    if "split" in table.column_names:
        parts = table["split"].to_pylist()
        if odd := sorted({str(part) for part in parts} - set(PARTS)):
            raise LorascopeError(
                f"{where}: unknown parts of the split {', '.join(odd)}; use {', '.join(PARTS)}"
            )
        if absent := [part for part in PARTS if part not in parts]:
            raise LorascopeError(f"{where}: column 'split' has no adapter of {', '.join(absent)}")
        trained = {label for label, part in zip(labels, parts, strict=True) if part == TRAIN}
        if untaught := sorted(set(labels) - trained):
            raise LorascopeError(
                f"{where}: column 'split' has no training adapter of {', '.join(untaught[:8])}; "
                "move some there, or leave the class out"
            )
        return parts
    if duplicates:
        groups = tie_duplicates(groups or table["adapter"].to_pylist(), duplicates)
    return split_adapters(labels, groups, split).tolist()


def tie_duplicates(groups: list[str], duplicates: list[list[int]]) -> list[str]:
    """Return groups in which equal adapters, and the groups that they belong to, are one."""
    tied = list(groups)
    for members in duplicates:
        joined = {tied[member] for member in members}
        tied = [tied[members[0]] if name in joined else name for name in tied]
    return tied


def _adapter_table(
    table: pa.Table, labels: list[str], parts: list[str], groups: list[str] | None
) -> pa.Table:
    columns = {"adapter": table["adapter"], "label": labels, "split": parts}
    if groups is not None:
        columns["group"] = groups
    metadata = {
        name: table[name] for name in table.column_names if name not in OWN_COLUMNS and name != FINGERPRINT
    }
    return pa.table({**columns, **metadata})


def training_rows(adapters: str | Path) -> np.ndarray:
    """Return the rows of the training part from a label and split table."""
    split = read_table(adapters, ["split"])["split"].to_pylist()
    return np.flatnonzero([part in (TRAIN, ALL) for part in split])
