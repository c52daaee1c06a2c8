"""Lay a source out for extraction: weights per layer group, layer table, table of what the source knows."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.adapters.layer_sets import group_of
from lorascope.adapters.names import DOWN, UP, MatrixInfo
from lorascope.data.inputs import FILES, Record, check_unchanged
from lorascope.data.rejected import Rejection
from lorascope.data.sources.base import Batch, Source
from lorascope.data.update_norms import update_norms
from lorascope.data.weights import WeightsWriter, layer_table
from lorascope.errors import LorascopeError
from lorascope.files import write_json, write_table

FINGERPRINT = "weights_fingerprint"
# ‖ΔW‖_F of each layer of each adapter: a column a layer.
NORMS_FILE = "norms.parquet"


class _UnusableError(Exception):
    """Some rows of a source cannot be used; ``rows`` has the reason for each."""

    def __init__(self, rows: dict[int, str]):
        super().__init__(rows)
        self.rows = rows


def prepare(
    source: Source,
    dataset: str,
    grouping: str,
    out_dir: str | Path,
    provenance: dict | None = None,
    inputs: Record | None = None,
    max_rejected: float | None = None,
) -> dict:
    """Write ``weights/<group>.npy`` and ``layers``, ``norms`` and ``source.parquet``, and ``source.json``.

    ``source.json`` comes last: where it is, the rest is whole. Adapters that cannot be used are listed in
    ``rejected.csv`` and left out, which costs a second reading where there are any.

    Args:
        source: the data set.
        dataset: its name in the study.
        grouping: ``attention``, ``block`` or ``layer``.
        out_dir: folder to write into.
        provenance: stored as it is (key, settings, versions).
        inputs: the record of the source's files, made before they were opened.
        max_rejected: share of the adapters that may be unusable; None refuses the first, as is right where
            none can be.

    Returns:
        What ``source.json`` holds.

    Raises:
        LorascopeError: weights that cannot be used (NaN or Inf, mixed shapes, rows lost), or a file that
            changed while it was read.
    """
    about = Path(out_dir), provenance or {}, inputs or {}
    try:
        return _lay_out(source, dataset, grouping, *about)
    except _UnusableError as error:
        source = _without(source, error.rows, dataset, Path(out_dir), max_rejected)
        return _lay_out(source, dataset, grouping, *about)


def _without(
    source: Source, unusable: dict[int, str], dataset: str, out_dir: Path, max_rejected: float | None
) -> Source:
    """Return the source without some rows, which are listed, if they are not too many."""
    first = min(unusable)
    if max_rejected is None:
        raise LorascopeError(f"{dataset}: row {first}: {unusable[first]}; remove or repair the adapter")
    entries = [(str(row), unusable[row]) for row in sorted(unusable)]
    rejection = Rejection(dataset, "row", source.adapters.num_rows, entries)
    rejection.write(out_dir)
    rejection.check(max_rejected, out_dir)
    kept = np.ones(rejection.total, bool)
    kept[list(unusable)] = False

    def batches() -> Iterator[Batch]:
        start = 0
        for batch in source.batches():
            stop = start + _rows(batch)
            if (own := kept[start:stop]).any():
                yield {column: values[own] for column, values in batch.items()}
            start = stop

    return replace(
        source,
        adapters=source.adapters.filter(kept),
        batches=batches,
        origin={**source.origin, "rows": rejection.total, "rejected": len(entries)},
        unreadable={},
        fingerprints=None if source.fingerprints is None else source.fingerprints[kept],
    )


def _lay_out(
    source: Source, dataset: str, grouping: str, out_dir: Path, provenance: dict, inputs: Record
) -> dict:
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
        FILES: inputs,
        **provenance,
    }
    check_unchanged(inputs)
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
    """Yield (first row, batch by matrix name) after checking shapes and values.

    Raises:
        _UnusableError: after the last batch, if a row of any cannot be used.
    """
    n_adapters, stop = source.adapters.num_rows, 0
    unusable: dict[int, str] = {}
    for batch in source.batches():
        checked = {}
        for matrix in source.matrices:
            values = batch[matrix.column]
            if values.shape[1:] != (matrix.rows, matrix.cols):
                raise LorascopeError(
                    f"{where}: mixed shapes: column '{matrix.column}' is {values.shape[1:]} from row {stop} "
                    f"on, {(matrix.rows, matrix.cols)} before; a data set needs one shape a matrix"
                )
            for row, kind in _non_finite(values):
                reason = f"column '{matrix.column}' has {kind}"
                unusable.setdefault(stop + row, source.unreadable.get(stop + row, reason))
            checked[matrix.name] = values
        start, stop = stop, stop + _rows(checked)
        if stop > n_adapters:
            break
        # Of what comes after, only what else is wrong counts.
        if not unusable:
            yield start, checked
    if unusable:
        raise _UnusableError(unusable)
    if stop != n_adapters:
        raise LorascopeError(f"{where}: {n_adapters} adapters in the table but weights of {stop}")


def _non_finite(values: np.ndarray) -> Iterator[tuple[int, str]]:
    """Yield the rows that hold what is no number, and what that is."""
    finite = np.isfinite(values)
    if not finite.all():
        for row in np.flatnonzero(~finite.reshape(len(values), -1).all(axis=1)):
            yield int(row), "a NaN" if np.isnan(values[row]).any() else "an infinite value"


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
