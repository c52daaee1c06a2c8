"""The learning curve over sizes of the training part: one row a cell and share."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.errors import LorascopeError
from lorascope.files import read_table
from lorascope.stats.adapters import Adapters
from lorascope.stats.cells import IDENTITY
from lorascope.stats.columns import SANITY, fields, mean_and_std, test_counts
from lorascope.stats.intervals import accuracy_interval

METRICS = ("train_accuracy", "validation_accuracy", "test_accuracy", "seconds")
SIZES_SCHEMA = pa.schema(
    [
        *fields(IDENTITY, pa.string()),
        pa.field("fraction", pa.float64()),
        *fields(("train_adapters", "seeds"), pa.int64()),
        *fields((f"{metric}_{suffix}" for metric in METRICS for suffix in ("mean", "std")), pa.float64()),
        *fields(("test_accuracy_adapters_low", "test_accuracy_adapters_high", "chance"), pa.float64()),
        *fields(("test_adapters", "test_units"), pa.int64()),
        SANITY,
    ]
)


def sizes_table(curves: Sequence[str | Path], adapters: Adapters) -> pa.Table:
    """Gather learning curves: one row a cell and share of the training part, in ascending order of the share.

    Args:
        curves: files that :func:`lorascope.probes.curve.train_curve` wrote; an absent one has no rows.
        adapters: the data set's adapters.

    Raises:
        LorascopeError: a file is unreadable or does not belong to the data set.
    """
    rows = []
    for path in curves:
        if Path(path).exists():
            rows += _rows(path, adapters)
    return pa.Table.from_pylist(rows, SIZES_SCHEMA)


def _rows(path: str | Path, adapters: Adapters) -> list[dict]:
    table = read_table(path, [*IDENTITY, "fraction", "seed", "train_adapters", *METRICS, "test_correct"])
    runs = table.to_pylist()
    if any(len(run["test_correct"]) != len(adapters.test_units) for run in runs):
        raise LorascopeError(f"{path}: its answers are not to this data set's test part; delete it")
    fractions = sorted({run["fraction"] for run in runs})
    return [_row([run for run in runs if run["fraction"] == fraction], adapters) for fraction in fractions]


def _row(runs: list[dict], adapters: Adapters) -> dict:
    row = {name: runs[0][name] for name in (*IDENTITY, "fraction", "train_adapters")}
    row |= {"seeds": len(runs), "chance": adapters.chance, **test_counts(adapters)}
    for metric in METRICS:
        row[f"{metric}_mean"], row[f"{metric}_std"] = mean_and_std(np.array([run[metric] for run in runs]))
    correct = np.mean([run["test_correct"] for run in runs], axis=0)
    within = accuracy_interval(np.bincount(adapters.test_units, correct), adapters.unit_sizes)
    return row | {"test_accuracy_adapters_low": within.low, "test_accuracy_adapters_high": within.high}
