"""The columns of labels and groups, looked up before anything is loaded."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lorascope.adapters.names import parse_matrix_name
from lorascope.errors import LorascopeError
from lorascope.wording import plural

# What `prepare` makes of every source, of a zoo and of the sanity check, and of adapter files.
IDS = ("adapter",)
ZOO, SANITY = ("label", "split", "seed"), ("label",)
FILES = ("family", "rank", "other_layers")


def check_columns(
    settings: dict, label: str, group: str | None, where: str, known: Iterable[str] | None = None
) -> None:
    """Look a label and a group column up in what is known of a source without loading it.

    Args:
        settings: one entry of ``datasets`` in the config.
        label: the column of labels.
        group: the column of groups; None for none.
        where: names the data set in messages.
        known: the source's columns, of a data set on the hub.

    Raises:
        LorascopeError: there is no such column, or it is known to be empty somewhere.
    """
    columns = _columns(settings, label) if known is None else dict.fromkeys((*IDS, *known), "")
    if columns is None:
        return
    for name, role in ((label, "label"), (group, "group")):
        if name is not None:
            require_column(name, columns, where, role)
            if empty := columns[name]:
                raise LorascopeError(f"{where}: {role} column '{name}' is empty in {empty}; choose another")


def require_column(name: str, columns: Iterable[str], where: str, role: str) -> None:
    """Refuse the name of a column that is not there.

    Raises:
        LorascopeError: it says which there are.
    """
    if name not in columns:
        raise LorascopeError(f"{where}: no {role} column '{name}'; there are: {', '.join(columns)}")


def _columns(settings: dict, label: str) -> dict[str, str] | None:
    """Return column → how much of it is known to be empty, in words; None where no column is known."""
    kind = settings["source"]
    if kind == "folder":
        return _columns_of_files(settings, label)
    if kind == "zoo" or kind == "sanity":
        return dict.fromkeys((*IDS, *(ZOO if kind == "zoo" else SANITY)), "")
    from lorascope.data.sources.arrow import disk_schema, parquet_files

    files = parquet_files(settings["path"], settings["hub_split"])
    if kind == "hub" and not files:
        return None
    schema = disk_schema(settings["path"], settings["hub_split"])
    found = [
        field for field in schema if not pa.types.is_nested(field.type) and not parse_matrix_name(field.name)
    ]
    empty = _empty_rows(files, {field.name for field in found})
    nothing = {field.name: "all rows" if pa.types.is_null(field.type) else "" for field in found}
    return dict.fromkeys(IDS, "") | nothing | empty


def _empty_rows(files: list[Path], wanted: set[str]) -> dict[str, str]:
    """Return in how many rows columns of parquet files are empty, from their footers."""
    counts: dict[str, int] = {}
    for file in files:
        about = pq.read_metadata(file)
        for group in map(about.row_group, range(about.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                if column.path_in_schema in wanted and column.statistics is not None:
                    name, empty = column.path_in_schema, column.statistics.null_count or 0
                    counts[name] = counts.get(name, 0) + empty
    return {name: plural(count, "row") for name, count in counts.items() if count}


def _columns_of_files(settings: dict, label: str) -> dict[str, str]:
    from lorascope.data.sources.folder import labels_path
    from lorascope.data.sources.folder_labels import FOLDER_LABEL, read_labels

    table_path = labels_path(settings)
    if table_path is None:
        return dict.fromkeys((*IDS, FOLDER_LABEL, *FILES), "")
    table = read_labels(table_path, settings["path_column"], label)
    # A file without a label is rejected by itself.
    empty = {
        name: "all rows" if table[name].null_count == table.num_rows else ""
        for name in table.column_names
        if name != settings["path_column"]
    }
    return dict.fromkeys((*IDS, *FILES), "") | empty
