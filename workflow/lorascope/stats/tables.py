"""The summary tables of a study, each from its cells: one function and one schema a table."""

import numpy as np
import pyarrow as pa

from lorascope.stats.adapters import Adapters
from lorascope.stats.cells import CURVES, IDENTITY, METRICS, RUN_COLUMNS, TESTED_PARTS, Cell
from lorascope.stats.intervals import accuracy_interval, seeds_interval

WHOLE_NUMBERS = {"seed", "best_epoch", "epochs", "features", "layers"}


def _fields(names, kind: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind) for name in names]


SANITY = pa.field("sanity", pa.bool_())

RUNS_SCHEMA = pa.schema(
    [
        *_fields(IDENTITY, pa.string()),
        *(
            pa.field(name, pa.int64() if name in WHOLE_NUMBERS else pa.float64())
            for name in RUN_COLUMNS
            if name not in IDENTITY
        ),
        SANITY,
    ]
)
CELLS_SCHEMA = pa.schema(
    [
        *_fields((*IDENTITY, "status", "reason"), pa.string()),
        *_fields(("seeds", "features", "layers"), pa.int64()),
        *(
            pa.field(f"{metric}_{suffix}", pa.list_(pa.float64()) if suffix == "values" else pa.float64())
            for metric in METRICS
            for suffix in ("mean", "std", "values")
        ),
        *_fields(("test_accuracy_seeds_low", "test_accuracy_seeds_high"), pa.float64()),
        *_fields(("test_accuracy_adapters_low", "test_accuracy_adapters_high"), pa.float64()),
        pa.field("test_accuracy_adapters_method", pa.string()),
        *_fields(("train_test_gap", "chance"), pa.float64()),
        *_fields(("test_adapters", "test_units"), pa.int64()),
        SANITY,
    ]
)
CURVES_SCHEMA = pa.schema(
    [
        *_fields(IDENTITY, pa.string()),
        *_fields(("epoch", "seeds"), pa.int64()),
        *_fields((f"{name}_{suffix}" for name in CURVES for suffix in ("mean", "std")), pa.float64()),
        SANITY,
    ]
)
CONFUSIONS_SCHEMA = pa.schema(
    [
        *_fields((*IDENTITY, "part", "truth", "predicted"), pa.string()),
        *_fields(("adapters", "share"), pa.float64()),
        SANITY,
    ]
)


def runs_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """Every run of every cell, one row a seed."""
    found = [cell.runs.select(RUN_COLUMNS) for cell in cells if cell.found]
    flagged = [runs.append_column("sanity", pa.array([adapters.sanity] * runs.num_rows)) for runs in found]
    return pa.concat_tables([RUNS_SCHEMA.empty_table(), *(runs.cast(RUNS_SCHEMA) for runs in flagged)])


def cells_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell, also for those that failed: status, and over seeds mean, std (n−1) and all values."""
    return pa.Table.from_pylist([_cell_row(cell, adapters) for cell in cells], CELLS_SCHEMA)


def curves_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell and epoch: means over the ``seeds`` that still trained then."""
    parts = [_cell_curves(cell, adapters) for cell in cells if cell.found]
    return pa.concat_tables([CURVES_SCHEMA.empty_table(), *parts])


def confusions_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell, part, true and predicted class: ``adapters``, mean over seeds, and their share."""
    parts = [_cell_confusion(cell, part, adapters) for cell in cells if cell.found for part in TESTED_PARTS]
    return pa.concat_tables([CONFUSIONS_SCHEMA.empty_table(), *parts])


def mean_and_std(values: np.ndarray) -> tuple[float, float | None]:
    """Mean, and standard deviation (n−1) where there are two values; NaN for a loss that diverged."""
    with np.errstate(invalid="ignore"):
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def test_counts(adapters: Adapters) -> dict:
    """The columns that say on how much a row's test-set interval rests."""
    return {
        "test_adapters": len(adapters.test_units),
        "test_units": len(adapters.unit_sizes),
        "sanity": adapters.sanity,
    }


def _cell_row(cell: Cell, adapters: Adapters) -> dict:
    row = {**cell.identity, "status": cell.status, "reason": cell.reason, "seeds": len(cell.seeds)}
    row |= {"chance": adapters.chance, **test_counts(adapters)}
    if not cell.found:
        return row
    for metric in METRICS:
        values = cell.values(metric).astype(np.float64)
        row[f"{metric}_mean"], row[f"{metric}_std"] = mean_and_std(values)
        row[f"{metric}_values"] = values.tolist()
    over_seeds = seeds_interval(cell.values("test_accuracy"))
    right = np.bincount(adapters.test_units, cell.correct.mean(axis=0))
    over_adapters = accuracy_interval(right, adapters.unit_sizes)
    return row | {
        "features": int(cell.values("features")[0]),
        "layers": int(cell.values("layers")[0]),
        "test_accuracy_seeds_low": over_seeds.low,
        "test_accuracy_seeds_high": over_seeds.high,
        "test_accuracy_adapters_low": over_adapters.low,
        "test_accuracy_adapters_high": over_adapters.high,
        "test_accuracy_adapters_method": over_adapters.method,
        "train_test_gap": row["train_accuracy_mean"] - row["test_accuracy_mean"],
    }


def _cell_curves(cell: Cell, adapters: Adapters) -> pa.Table:
    lengths = np.array([len(curve) for curve in cell.curves[CURVES[0]]])
    running = np.arange(lengths.max(initial=0)) < lengths[:, None]
    columns = {"epoch": np.arange(running.shape[1]) + 1, "seeds": running.sum(axis=0)}
    for name in CURVES:
        padded = np.zeros(running.shape)
        padded[running] = np.concatenate(cell.curves[name])
        columns[f"{name}_mean"], columns[f"{name}_std"] = _masked_mean_and_std(padded, running)
    return _constant_columns(columns, {**cell.identity, "sanity": adapters.sanity}, CURVES_SCHEMA)


def _masked_mean_and_std(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, pa.Array]:
    count = mask.sum(axis=0)
    mean = values.sum(axis=0) / count
    squares = np.where(mask, (values - mean) ** 2, 0.0).sum(axis=0)
    std = np.sqrt(squares / np.maximum(count - 1, 1))
    return mean, pa.array(std, mask=count < 2)


def _cell_confusion(cell: Cell, part: str, adapters: Adapters) -> pa.Table:
    counts = cell.confusions[part].mean(axis=0)
    classes = np.array(adapters.classes)
    columns = {
        "truth": np.repeat(classes, len(classes)),
        "predicted": np.tile(classes, len(classes)),
        "adapters": counts.ravel(),
        "share": (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).ravel(),
    }
    constants = {**cell.identity, "part": part, "sanity": adapters.sanity}
    return _constant_columns(columns, constants, CONFUSIONS_SCHEMA)


def _constant_columns(columns: dict, constants: dict, schema: pa.Schema) -> pa.Table:
    rows = len(next(iter(columns.values())))
    repeated = {name: [value] * rows for name, value in constants.items()}
    return pa.table({**columns, **repeated}).select(schema.names).cast(schema)
