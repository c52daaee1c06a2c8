"""Lay a source out for extraction: weights per layer group, layer table, table of what the source knows."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.adapters.layer_sets import group_of
from lorascope.adapters.names import DOWN, UP, MatrixInfo
from lorascope.data.inputs import FILES, Record, check_unchanged
from lorascope.data.sources.base import Batch, Source
from lorascope.data.update_norms import update_norms
from lorascope.data.weights import WeightsWriter, layer_table
from lorascope.errors import LorascopeError
from lorascope.files import write_json, write_table

FINGERPRINT = "weights_fingerprint"
# ‖ΔW‖_F of each layer of each adapter: a column a layer.
NORMS_FILE = "norms.parquet"


def prepare(
    source: Source,
    dataset: str,
    grouping: str,
    out_dir: str | Path,
    provenance: dict | None = None,
    inputs: Record | None = None,
) -> dict:
    """Write ``weights/<group>.npy`` and ``layers``, ``norms`` and ``source.parquet``, and ``source.json``.

    ``source.json`` comes last: where it is, the rest is whole.

    Args:
        source: the data set.
        dataset: its name in the study.
        grouping: ``attention``, ``block`` or ``layer``.
        out_dir: folder to write into.
        provenance: stored as it is (key, settings, versions).
        inputs: the record of the source's files, made before they were opened.

    Returns:
        What ``source.json`` holds.

    Raises:
        LorascopeError: weights that cannot be used (NaN or Inf, mixed shapes, rows lost), or a file that
            changed while it was read.
    """
    out_dir = Path(out_dir)
    n_adapters = source.adapters.num_rows
    groups = _group_matrices(source.matrices, grouping)
    fingerprints = np.zeros(n_adapters, np.uint64) if source.fingerprints is None else source.fingerprints
    all_norms = {matrix.layer: np.zeros(n_adapters) for matrix in source.matrices}
    with WeightsWriter(out_dir / "weights", groups, n_adapters) as writer:
        for start, batch in _checked(source, dataset):
            if source.fingerprints is None:
                fingerprints[start : start + _rows(batch)] = adapter_fingerprints(batch)
            writer.write(batch)
            for layer, norms in _norms(batch):
                all_norms[layer][start : start + _rows(batch)] = norms
    _tell_dead_apart(fingerprints, all_norms)
    write_table(out_dir / NORMS_FILE, pa.table(all_norms))
    write_table(out_dir / "layers.parquet", layer_table(groups, writer.digests, n_adapters))
    fingerprint_column = pa.array(fingerprints, pa.uint64())
    write_table(out_dir / "source.parquet", source.adapters.append_column(FINGERPRINT, fingerprint_column))
    description = {
        "dataset": dataset,
        "source": source.origin,
        "adapters": n_adapters,
        "matrices": len(source.matrices),
        "layers": len({matrix.layer for matrix in source.matrices}),
        "parameters": sum(matrix.size for matrix in source.matrices),
        "ranks": sorted({min(matrix.rows, matrix.cols) for matrix in source.matrices}),
        "digest": _digest(writer.digests),
        FILES: inputs or {},
        **(provenance or {}),
    }
    check_unchanged(inputs or {})
    write_json(out_dir / "source.json", description)
    return description


def _group_matrices(matrices: list[MatrixInfo], grouping: str) -> dict[str, list[MatrixInfo]]:
    groups: dict[str, list[MatrixInfo]] = {}
    for matrix in matrices:
        groups.setdefault(group_of(matrix.layer, grouping), []).append(matrix)
    return groups


def _norms(batch: Batch) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each layer and the norms of its updates."""
    for name, down in batch.items():
        layer, _, side = name.rpartition(".")
        if side == DOWN:
            yield layer, update_norms(down, batch[f"{layer}.{UP}"])


def _tell_dead_apart(fingerprints: np.ndarray, norms: dict[str, np.ndarray]) -> None:
    """Number the adapters without any update: as one set of duplicates they would tie all groups."""
    dead = np.flatnonzero(~np.any(list(norms.values()), axis=0))
    fingerprints[dead] = np.iinfo(np.uint64).max - dead.astype(np.uint64)


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _checked(source: Source, where: str) -> Iterator[tuple[int, Batch]]:
    """Yield (first row, batch by matrix name) after checking shapes and values."""
    n_adapters, stop = source.adapters.num_rows, 0
    for batch in source.batches():
        checked = {}
        for matrix in source.matrices:
            values = batch[matrix.column]
            if values.shape[1:] != (matrix.rows, matrix.cols):
                raise LorascopeError(
                    f"{where}: mixed shapes: column '{matrix.column}' is {values.shape[1:]} from row {stop} "
                    f"on, {(matrix.rows, matrix.cols)} before; a data set needs one shape a matrix"
                )
            _refuse_non_finite(values, matrix.column, stop, where)
            checked[matrix.name] = values
        start, stop = stop, stop + _rows(checked)
        if stop > n_adapters:
            break
        yield start, checked
    if stop != n_adapters:
        raise LorascopeError(f"{where}: {n_adapters} adapters in the table but weights of {stop}")


def _refuse_non_finite(values: np.ndarray, column: str, start: int, where: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite.reshape(len(values), -1).all(axis=1)))
        kind = "NaN" if np.isnan(values[row]).any() else "infinite value"
        raise LorascopeError(
            f"{where}: column '{column}' has a {kind} in row {start + row}; remove or repair the adapter"
        )


def adapter_fingerprints(batch: Batch) -> np.ndarray:
    """Return one 64-bit number an adapter that differs (but for a 2⁻⁶⁴ chance) where any weight differs."""
    total = np.zeros(_rows(batch), np.uint64)
    for position, values in enumerate(batch.values()):
        words = np.ascontiguousarray(values, "<f4").reshape(len(values), -1).view("<u4")
        multipliers = (
            np.random.default_rng(position).integers(0, 2**63, words.shape[1], np.uint64) * np.uint64(2) + 1
        )
        # Multiply-shift hashing: a sum modulo 2**64 of words times odd random numbers.
        total += np.einsum("ij,j->i", words, multipliers, dtype=np.uint64, casting="unsafe")
    return total


def _digest(matrix_digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(matrix_digests.items())).encode()).hexdigest()
