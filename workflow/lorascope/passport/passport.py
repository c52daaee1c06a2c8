"""Make a data set's passport."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.data.rejected import REJECTED_FILE
from lorascope.data.split import ALL, PARTS, TEST, TRAIN
from lorascope.features.columns import as_columns
from lorascope.files import read_json, read_table, write_json, write_table
from lorascope.passport.duplicates import equal_updates
from lorascope.passport.metadata import is_number, plain, sort_columns
from lorascope.passport.overlap import overlaps
from lorascope.passport.scan import DELTA, SIDES, Scan, open_groups, scan
from lorascope.passport.starts import find_starts

PASSPORT_FILE, NORMS_FILE = "passport.json", "norms.parquet"
ALPHAS = ("alpha", "lora_alpha", "network_alpha")
RANKS = ("rank", "lora_rank", "network_dim")
# Quantiles of a spread that a few odd adapters do not set.
LOW, HIGH = 0.05, 0.95


def write_passport(
    data_dir: str | Path, labels_dir: str | Path, out_dir: str | Path, provenance: dict | None = None
) -> dict:
    """Write ``passport.json`` and ``norms.parquet`` (‖A‖, ‖B‖ and ‖ΔW‖ of every layer, a row an adapter).

    Args:
        data_dir: what `prepare` wrote.
        labels_dir: what `label` wrote.
        out_dir: folder to write into.
        provenance: stored in both files.

    Returns:
        What ``passport.json`` holds; docs/passport.md describes it.
    """
    table = read_table(Path(labels_dir) / "adapters.parquet")
    manifest = read_json(Path(labels_dir) / "manifest.json")
    groups = open_groups(data_dir)
    scanned = scan(groups)
    metadata = sort_columns(table)
    passport = {
        "dataset": manifest["dataset"],
        "adapters": table.num_rows,
        "layers": len(scanned.layers),
        "sanity": manifest["sanity"],
        "classes": class_counts(table),
        "starts": asdict(find_starts(groups)),
        "duplicates": _duplicates(scanned, table),
        "overlaps": [asdict(overlap) for overlap in overlaps(table, metadata.concepts)],
        "ranks": sorted(set(scanned.ranks)),
        "alphas": _values(table, ALPHAS),
        "sizes": _sizes(scanned),
        "health": _health(scanned) | _rejected(manifest["source"], Path(data_dir)),
        "metadata": asdict(metadata),
        "provenance": provenance or {},
    }
    write_table(Path(out_dir) / NORMS_FILE, _norms_table(scanned), provenance)
    write_json(Path(out_dir) / PASSPORT_FILE, passport)
    return passport


def class_counts(table: pa.Table) -> dict[str, dict[str, int]]:
    """Return part → class → adapters; where the parts are one set, each counts all of it."""
    labels = table["label"].cast(pa.string()).to_pylist()
    counts = Counter(zip(table["split"].to_pylist(), labels, strict=True))
    return {
        part: {name: counts[part, name] + counts[ALL, name] for name in sorted(set(labels))} for part in PARTS
    }


def _duplicates(scanned: Scan, table: pa.Table) -> dict:
    sets = equal_updates(scanned)
    names, parts = table["adapter"].to_pylist(), table["split"].to_pylist()
    across = [members for members in sets if len({parts[row] for row in members}) > 1]
    trained = [row for members in across if TRAIN in {parts[row] for row in members} for row in members]
    return {
        "sets": len(sets),
        "adapters": sum(map(len, sets)),
        "across_parts": len(across),
        "test_adapters": sum(parts[row] == TEST for row in trained),
        "members": [[names[row] for row in members] for members in sets],
    }


def _values(table: pa.Table, names: tuple[str, ...]) -> list[float] | None:
    """Return the distinct values of the first of some columns that holds numbers; None where none does."""
    columns = (plain(table[name]) for name in names if name in table.column_names)
    numbers = next((column for column in columns if is_number(column)), None)
    if numbers is None:
        return None
    values = numbers.cast(pa.float64()).drop_null().to_numpy()
    return np.unique(values[np.isfinite(values)]).tolist()


def _sizes(scanned: Scan) -> dict:
    """How much the sizes of whole updates differ between adapters."""
    sizes = scanned.sizes
    sizes = sizes[np.isfinite(sizes)]
    low, median, high = np.quantile(sizes, (LOW, 0.5, HIGH)) if len(sizes) else (0.0, 0.0, 0.0)
    return {
        "low": float(low),
        "median": float(median),
        "high": float(high),
        "spread": float(high / low) if low > 0 else None,
    }


def _health(scanned: Scan) -> dict:
    """Count what cannot tell anything: weights that are not finite, updates of zero."""
    finite = np.isfinite(scanned.norms[DELTA])
    dead = finite & (scanned.norms[DELTA] == 0)
    everywhere = dead.all(axis=0)
    return {
        "non_finite": int((~finite).any(axis=1).sum()),
        "dead_updates": int(dead.sum()),
        "dead_adapters": int(dead.all(axis=1).sum()),
        "dead_layers": [name for name, gone in zip(scanned.layers, everywhere, strict=True) if gone],
    }


def _rejected(origin: dict, data_dir: Path) -> dict:
    """Return how many entries of the source `prepare` left out, and where they are listed."""
    count = origin.get("rejected", 0)
    return {"rejected": count, "rejected_list": str(data_dir / REJECTED_FILE) if count else None}


def _norms_table(scanned: Scan) -> pa.Table:
    return pa.table(
        {
            f"{layer}.{side}": as_columns(scanned.norms[side][:, place])[:, 0]
            for place, layer in enumerate(scanned.layers)
            for side in SIDES
        }
    )
