"""The map of adapters as a table of the summary."""

from pathlib import Path

import pyarrow as pa

from lorascope.files import read_metadata, read_table
from lorascope.stats.columns import SANITY, fields

ADAPTER_MAP_SCHEMA = pa.schema(
    [
        *fields(("dataset", "adapter", "class", "part"), pa.string()),
        *fields(("x", "y", "x_variance", "y_variance"), pa.float64()),
        SANITY,
    ]
)


def adapter_map_table(dataset: str, files: dict[str, str] | None, sanity: bool) -> pa.Table:
    """One row an adapter of the map; none where the map is not there, or holds none."""
    if files is None or not Path(files["map"]).exists() or no_map(files):
        return ADAPTER_MAP_SCHEMA.empty_table()
    path = files["map"]
    found = read_table(path).rename_columns({"label": "class", "split": "part"})
    x_variance, y_variance = read_metadata(path)["variance"]
    constants = {"dataset": dataset, "x_variance": x_variance, "y_variance": y_variance, "sanity": sanity}
    for name, value in constants.items():
        found = found.append_column(name, pa.array([value] * found.num_rows))
    return found.select(ADAPTER_MAP_SCHEMA.names).cast(ADAPTER_MAP_SCHEMA)


def no_map(files: dict[str, str]) -> str:
    """Return why a map that was made holds no adapter; empty where it holds some."""
    return read_metadata(files["map"]).get("reason", "")
