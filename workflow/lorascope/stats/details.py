"""The tables with several rows a cell: epochs, classes, confidence bins, single adapters."""

import numpy as np
import pyarrow as pa

from lorascope.stats.adapters import Adapters
from lorascope.stats.cells import CURVES, IDENTITY, TESTED_PARTS, Cell
from lorascope.stats.columns import SANITY, fields, mean_and_std, with_constants
from lorascope.stats.intervals import Interval, accuracy_interval
from lorascope.stats.scores import CALIBRATION_BINS, reliability

PER_CLASS = ("precision", "recall", "f1")

CURVES_SCHEMA = pa.schema(
    [
        *fields(IDENTITY, pa.string()),
        *fields(("epoch", "seeds"), pa.int64()),
        *fields((f"{name}_{suffix}" for name in CURVES for suffix in ("mean", "std")), pa.float64()),
        SANITY,
    ]
)
CONFUSIONS_SCHEMA = pa.schema(
    [
        *fields((*IDENTITY, "part", "truth", "predicted"), pa.string()),
        *fields(("adapters", "share"), pa.float64()),
        SANITY,
    ]
)
CLASSES_SCHEMA = pa.schema(
    [
        *fields((*IDENTITY, "class"), pa.string()),
        pa.field("adapters", pa.int64()),
        *fields((f"{name}_{suffix}" for name in PER_CLASS for suffix in ("mean", "std")), pa.float64()),
        *fields(("recall_adapters_low", "recall_adapters_high"), pa.float64()),
        SANITY,
    ]
)
RELIABILITY_SCHEMA = pa.schema(
    [
        *fields((*IDENTITY, "part"), pa.string()),
        *fields(("low", "high", "adapters", "confidence", "accuracy"), pa.float64()),
        *fields(("accuracy_low", "accuracy_high"), pa.float64()),
        SANITY,
    ]
)
ANSWERS_SCHEMA = pa.schema(
    [
        *fields((*IDENTITY, "adapter", "class"), pa.string()),
        *fields(("unit", "hits", "seeds"), pa.int64()),
        SANITY,
    ]
)


def curves_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell and epoch: means over the ``seeds`` that still trained then."""
    parts = [_cell_curves(cell, adapters) for cell in cells if cell.found]
    return pa.concat_tables([CURVES_SCHEMA.empty_table(), *parts])


def confusions_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell, part, true and predicted class: ``adapters``, mean over seeds, and their share."""
    parts = [_cell_confusion(cell, part, adapters) for cell in cells if cell.found for part in TESTED_PARTS]
    return pa.concat_tables([CONFUSIONS_SCHEMA.empty_table(), *parts])


def classes_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell and class: precision, recall and F1 on the test part, and the recall's interval."""
    rows = [row for cell in cells if cell.found for row in _class_rows(cell, adapters)]
    return pa.Table.from_pylist(rows, CLASSES_SCHEMA)


def reliability_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell, part and bin of the named class's probability that holds answers; all seeds pooled."""
    parts = [_cell_reliability(cell, part, adapters) for cell in cells if cell.found for part in TESTED_PARTS]
    return pa.concat_tables([RELIABILITY_SCHEMA.empty_table(), *parts])


def answers_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a cell and test adapter: how many of the ``seeds`` name its class."""
    parts = [_cell_answers(cell, adapters) for cell in cells if cell.found]
    return pa.concat_tables([ANSWERS_SCHEMA.empty_table(), *parts])


def _cell_curves(cell: Cell, adapters: Adapters) -> pa.Table:
    lengths = np.array([len(curve) for curve in cell.curves[CURVES[0]]])
    running = np.arange(lengths.max(initial=0)) < lengths[:, None]
    columns = {"epoch": np.arange(running.shape[1]) + 1, "seeds": running.sum(axis=0)}
    for name in CURVES:
        padded = np.zeros(running.shape)
        padded[running] = np.concatenate(cell.curves[name])
        columns[f"{name}_mean"], columns[f"{name}_std"] = _masked_mean_and_std(padded, running)
    return with_constants(columns, {**cell.identity, "sanity": adapters.sanity}, CURVES_SCHEMA)


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
    return with_constants(columns, constants, CONFUSIONS_SCHEMA)


def _class_rows(cell: Cell, adapters: Adapters) -> list[dict]:
    counts = cell.confusions["test"].astype(np.float64)
    hits = np.einsum("scc->sc", counts)
    actual, named = counts.sum(axis=2), counts.sum(axis=1)
    shares = {
        "precision": _ratio(hits, named),
        "recall": _ratio(hits, actual),
        "f1": _ratio(2 * hits, actual + named),
    }
    rows = []
    for code, name in enumerate(adapters.classes):
        members = adapters.truth["test"] == code
        row = {**cell.identity, "class": name, "adapters": int(members.sum()), "sanity": adapters.sanity}
        if members.any():
            for metric, values in shares.items():
                row[f"{metric}_mean"], row[f"{metric}_std"] = mean_and_std(values[:, code])
            interval = _recall_interval(cell, members, adapters)
            row |= {"recall_adapters_low": interval.low, "recall_adapters_high": interval.high}
        rows.append(row)
    return rows


def _recall_interval(cell: Cell, members: np.ndarray, adapters: Adapters) -> Interval:
    units = np.unique(adapters.test_units[members], return_inverse=True)[1]
    right = cell.correct[:, members].mean(axis=0)
    return accuracy_interval(np.bincount(units, right), np.bincount(units))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """A class that is never named has precision 0, as in training."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _cell_reliability(cell: Cell, part: str, adapters: Adapters) -> pa.Table:
    units = adapters.units[part]
    curve = reliability(cell.probabilities[part], adapters.truth[part], units)
    intervals = [accuracy_interval(*unit_counts) for unit_counts in curve.pop("units")]
    columns = {
        "low": curve["bin"] / CALIBRATION_BINS,
        "high": (curve["bin"] + 1) / CALIBRATION_BINS,
        **{name: curve[name] for name in ("adapters", "confidence", "accuracy")},
        "accuracy_low": [interval.low for interval in intervals],
        "accuracy_high": [interval.high for interval in intervals],
    }
    constants = {**cell.identity, "part": part, "sanity": adapters.sanity}
    return with_constants(columns, constants, RELIABILITY_SCHEMA)


def _cell_answers(cell: Cell, adapters: Adapters) -> pa.Table:
    columns = {
        "adapter": adapters.test_ids,
        "class": np.array(adapters.classes)[adapters.truth["test"]],
        "unit": adapters.test_units,
        "hits": cell.correct.sum(axis=0),
    }
    constants = {**cell.identity, "seeds": len(cell.seeds), "sanity": adapters.sanity}
    return with_constants(columns, constants, ANSWERS_SCHEMA)
