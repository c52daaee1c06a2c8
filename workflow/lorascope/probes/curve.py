"""Accuracy by size of the training part: one cell, trained on nested shares of it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.data.split import TEST, TRAIN, VALIDATION
from lorascope.errors import LorascopeError
from lorascope.files import write_table
from lorascope.probes.registry import run_probe
from lorascope.probes.runs import Part, Run
from lorascope.probes.scaling import Scaling
from lorascope.probes.train import CellInput


def nested_rows(classes: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Draw a share of the adapters of every class, at least one of each.

    For one seed a smaller share is part of a larger one, so that a curve has one draw and not several.

    Args:
        classes: int64 [n].
        fraction: share, above 0 and at most 1.
        seed: of the draw.

    Returns:
        Sorted indices into ``classes``.
    """
    chosen = []
    for name in np.unique(classes):
        members = np.random.default_rng([seed, name]).permutation(np.flatnonzero(classes == name))
        chosen.append(members[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(chosen))


def train_curve(
    cell: CellInput,
    settings: dict,
    fractions: Sequence[float],
    seeds: Sequence[int],
    device: str,
    threads: int,
    out_path: str | Path,
    provenance: dict,
) -> Iterator[str]:
    """Train the cell once for each share and seed, and write one table.

    A share is drawn anew for each seed, also for probes that have no randomness of their own. Features are
    standardised with the share; a representation that is fitted stays fitted to the whole training part
    (without labels). Validation and test part stay whole.

    Args:
        cell: from :func:`lorascope.probes.train.load_cell`.
        settings: of the probe.
        fractions: shares of the training part.
        seeds: one draw and one run each.
        device: ``cpu`` or a CUDA device.
        threads: of the probe.
        out_path: parquet with a row a share and seed: names of the cell, ``fraction``, ``seed``,
            ``train_adapters``, accuracy on the three parts, ``seconds``, ``test_correct`` (a list of bool).
        provenance: stored in the file.

    Yields:
        One line for the log as each share is finished.

    Raises:
        LorascopeError: the smallest share leaves a probe too little to learn from.
    """
    rows = []
    for fraction in fractions:
        started = time.perf_counter()
        runs = [_run(cell, settings, fraction, seed, device, threads) for seed in seeds]
        rows += runs
        mean, seconds = np.mean([row["test_accuracy"] for row in runs]), time.perf_counter() - started
        yield (
            f"{fraction:g} of the training part, {runs[0]['train_adapters']} adapters: "
            f"test accuracy {mean:.3f} over {len(runs)} draws, {seconds:.1f} s"
        )
    write_table(out_path, pa.Table.from_pylist(rows), provenance)


def _run(
    cell: CellInput, settings: dict, fraction: float, seed: int, device: str, threads: int
) -> dict[str, object]:
    parts = _share(cell, fraction, seed)
    count = len(parts[TRAIN].classes)
    try:
        (run,) = run_probe(cell.names["probe"], parts, len(cell.classes), settings, [seed], device, threads)
    except LorascopeError as error:
        raise LorascopeError(
            f"scaling: {fraction:g} of the training part ({count} adapters): {error}"
        ) from None
    right = {name: _right(run, name, part) for name, part in parts.items()}
    return {
        **cell.names,
        "fraction": float(fraction),
        "seed": seed,
        "train_adapters": count,
        **{f"{name}_accuracy": float(right[name].mean()) for name in (TRAIN, VALIDATION, TEST)},
        "seconds": run.seconds,
        "test_correct": right[TEST].tolist(),
    }


def _share(cell: CellInput, fraction: float, seed: int) -> dict[str, Part]:
    whole = cell.parts[TRAIN]
    rows = nested_rows(whole.classes, fraction, seed)
    train = replace(whole, features=whole.features[rows], classes=whole.classes[rows])
    parts = {**cell.parts, TRAIN: train}
    if cell.is_scaled:
        scaling = Scaling.fit(train.features)
        parts = {name: replace(part, features=scaling.apply(part.features)) for name, part in parts.items()}
    return parts


def _right(run: Run, name: str, part: Part) -> np.ndarray:
    return run.log_probabilities[name].argmax(axis=1) == part.classes
