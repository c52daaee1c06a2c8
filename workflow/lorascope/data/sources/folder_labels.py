"""Labels of a folder's adapter files: from a table with a path column, or from the folders' names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lorascope.adapters.files import PEFT_WEIGHTS, SUFFIX, escaping_links, find_adapter_files
from lorascope.errors import LorascopeError
from lorascope.files import parquet_errors

FOLDER_LABEL = "label"
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Labelled:
    """Files with a label.

    Attributes:
        files: paths below the root, with ``/``.
        table: one row a file: ``adapter`` (the path), then what is known about it.
        rejected: (file, reason) of the others.
    """

    files: list[str]
    table: pa.Table
    rejected: list[tuple[str, str]]


def label_files(root: Path, labels: Path | None, path_column: str, label: str) -> Labelled:
    """Match the adapter files below ``root`` with their labels.

    Args:
        labels: table (.csv, .tsv or .parquet); None takes the name of each file's folder.
        path_column: its column of paths, relative to ``root``.
        label: its column of labels.

    Raises:
        LorascopeError: the table cannot be read, lacks a column, or names a file twice.
    """
    found = [path.relative_to(root).as_posix() for path in find_adapter_files(root)]
    links = [path.relative_to(root).as_posix() for path in escaping_links(root)]
    outside = [(file, "a link that leads out of the folder") for file in links]
    labelled = _by_folder(found) if labels is None else _by_table(root, found, labels, path_column, label)
    known = {file for file, _ in labelled.rejected}
    return Labelled(
        labelled.files, labelled.table, [*labelled.rejected, *(e for e in outside if e[0] not in known)]
    )


def _by_folder(found: Sequence[str]) -> Labelled:
    files = [file for file in found if "/" in file]
    labels = [PurePath(file).parent.name for file in files]
    rejected = [(file, "in no folder that would name its class") for file in found if "/" not in file]
    return Labelled(files, pa.table({"adapter": files, FOLDER_LABEL: labels}), rejected)


def _by_table(root: Path, found: list[str], labels: Path, path_column: str, label: str) -> Labelled:
    table = read_labels(labels, path_column, label)
    paths = table[path_column].cast(pa.string()).to_pylist()
    if None in paths:
        raise LorascopeError(f"{labels}: column '{path_column}' is empty in row {paths.index(None)}")
    rows: dict[str, int] = {}
    for row, path in enumerate(paths):
        file = _below(root, path)
        if file in rows:
            raise LorascopeError(f"{labels}: rows {rows[file]} and {row} are both of {file}")
        rows[file] = row
    nameless = {file for file, row in rows.items() if not table[label][row].is_valid}
    files = [file for file in found if file in rows and file not in nameless]
    rejected = [(file, f"no row in {labels.name}") for file in found if file not in rows]
    rejected += [(file, f"no label in {labels.name}") for file in found if file in nameless]
    rejected += [(file, _why_absent(root, file)) for file in sorted(set(rows) - set(found))]
    metadata = table.drop_columns([path_column]).take(pa.array([rows[file] for file in files], pa.int64()))
    kept = {name: metadata[name] for name in metadata.column_names if name != "adapter"}
    return Labelled(files, pa.table({"adapter": pa.array(files, pa.string()), **kept}), rejected)


def read_labels(labels: Path, path_column: str, label: str) -> pa.Table:
    """Read a table of labels, the columns of paths and labels as text.

    Raises:
        LorascopeError: the table cannot be read, or lacks one of the two.
    """
    table = _read_table(labels, (path_column, label))
    for name in (path_column, label):
        if name not in table.column_names:
            raise LorascopeError(f"{labels}: no column '{name}'; there are: {', '.join(table.column_names)}")
    return table


def _read_table(labels: Path, texts: Sequence[str]) -> pa.Table:
    if labels.suffix == ".parquet":
        with parquet_errors(labels, "replace it"):
            return pa.parquet.read_table(labels, partitioning=None)
    if labels.suffix not in _DELIMITERS:
        raise LorascopeError(f"{labels}: labels are read from .csv, .tsv or .parquet")
    parse = pa.csv.ParseOptions(delimiter=_DELIMITERS[labels.suffix])
    # A class may be called 007, or NA.
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(texts, pa.string()), null_values=[""], strings_can_be_null=True
    )
    try:
        return pa.csv.read_csv(labels, parse_options=parse, convert_options=convert)
    except FileNotFoundError:
        raise LorascopeError(f"{labels}: no such file; set `labels` to the table of labels") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise LorascopeError(f"{labels}: not a readable table ({str(error).splitlines()[0]})") from None


def _below(root: Path, path: str) -> str:
    """Return a path of the table as the search for files spells it."""
    # Resolved by name alone: the files of a folder may be links, and a label must not open anything.
    parts: list[str] = []
    pure = PurePath(path)
    if pure.is_absolute() and pure.is_relative_to(root.resolve()):
        pure = pure.relative_to(root.resolve())
    for part in pure.parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    if (
        parts
        and parts[-1] == PEFT_WEIGHTS + SUFFIX
        and (root.joinpath(*parts[:-1]) / "adapter_config.json").exists()
    ):
        parts.pop()
    return "/".join(parts)


def _why_absent(root: Path, file: str) -> str:
    if file.startswith(("/", "..")):
        return "named by the labels, but outside the folder"
    return (
        "not an adapter file" if (root / file).exists() else "named by the labels, but there is no such file"
    )
