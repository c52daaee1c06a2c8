"""The tables of runs and of cells: one row a seed, one row a cell."""

import numpy as np
import pyarrow as pa

from lorascope.stats.adapters import Adapters
from lorascope.stats.baseline import permutation_baseline
from lorascope.stats.cells import IDENTITY, METRICS, RUN_ONLY, Cell
from lorascope.stats.columns import SANITY, fields, holm_columns, mean_and_std, test_counts
from lorascope.stats.intervals import accuracy_interval, seeds_interval
from lorascope.stats.paired import cohen_h

WHOLE_NUMBERS = {"seed", "best_epoch", "epochs", "features", "layers"}

RUNS_SCHEMA = pa.schema(
    [
        *fields(IDENTITY, pa.string()),
        *(
            pa.field(name, pa.int64() if name in WHOLE_NUMBERS else pa.float64())
            for name in ("seed", *METRICS, *RUN_ONLY, "features", "layers")
        ),
        SANITY,
    ]
)
CELLS_SCHEMA = pa.schema(
    [
        *fields((*IDENTITY, "status", "reason"), pa.string()),
        *fields(("seeds", "features", "layers"), pa.int64()),
        *(
            pa.field(f"{metric}_{suffix}", pa.list_(pa.float64()) if suffix == "values" else pa.float64())
            for metric in METRICS
            for suffix in ("mean", "std", "values")
        ),
        *fields(("test_accuracy_seeds_low", "test_accuracy_seeds_high"), pa.float64()),
        *fields(("test_accuracy_adapters_low", "test_accuracy_adapters_high"), pa.float64()),
        pa.field("test_accuracy_adapters_method", pa.string()),
        *fields(("train_test_gap", "validation_test_gap", "chance", "cohen_h_over_chance"), pa.float64()),
        *fields((f"permutation_{name}" for name in ("mean", "high", "p", "p_holm")), pa.float64()),
        pa.field("permutation_unit", pa.string()),
        *fields(("test_adapters", "test_units"), pa.int64()),
        SANITY,
    ]
)


def runs_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """Every run of every cell, one row a seed."""
    found = [cell.runs for cell in cells if cell.found]
    flagged = [runs.append_column("sanity", pa.array([adapters.sanity] * runs.num_rows)) for runs in found]
    ordered = [runs.select(RUNS_SCHEMA.names).cast(RUNS_SCHEMA) for runs in flagged]
    return pa.concat_tables([RUNS_SCHEMA.empty_table(), *ordered])


def cells_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell, also for those that failed: status, and over seeds mean, std (n−1) and all values."""
    rows = [_cell_row(cell, adapters) for cell in cells]
    holm_columns(rows, "permutation_p")
    return pa.Table.from_pylist(rows, CELLS_SCHEMA)


def _cell_row(cell: Cell, adapters: Adapters) -> dict:
    row = {**cell.identity, "status": cell.status, "reason": cell.reason, "seeds": len(cell.seeds)}
    row |= {"chance": adapters.chance, **test_counts(adapters)}
    if not cell.found:
        return row
    for metric in METRICS:
        values = cell.values(metric).astype(np.float64)
        row[f"{metric}_mean"], row[f"{metric}_std"] = mean_and_std(values)
        row[f"{metric}_values"] = values.tolist()
    over_seeds = seeds_interval(cell.values("test_accuracy"), len(adapters.test_units))
    right = np.bincount(adapters.test_units, cell.correct.mean(axis=0))
    over_adapters = accuracy_interval(right, adapters.unit_sizes)
    accuracy = row["test_accuracy_mean"]
    return row | {
        "features": int(cell.values("features")[0]),
        "layers": int(cell.values("layers")[0]),
        "test_accuracy_seeds_low": over_seeds.low,
        "test_accuracy_seeds_high": over_seeds.high,
        "test_accuracy_adapters_low": over_adapters.low,
        "test_accuracy_adapters_high": over_adapters.high,
        "test_accuracy_adapters_method": over_adapters.method,
        "train_test_gap": row["train_accuracy_mean"] - accuracy,
        "validation_test_gap": row["validation_accuracy_mean"] - accuracy,
        "cohen_h_over_chance": cohen_h(accuracy, adapters.chance),
        **_baseline(cell, adapters),
    }


def _baseline(cell: Cell, adapters: Adapters) -> dict:
    answers = cell.probabilities["test"].argmax(axis=2)
    named = (answers[..., None] == np.arange(len(adapters.classes))).mean(axis=0)
    baseline = permutation_baseline(named, adapters.truth["test"], adapters.test_units, adapters.unit)
    return {f"permutation_{name}": value for name, value in vars(baseline).items()}
