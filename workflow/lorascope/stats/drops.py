"""What each layer set loses against the reference layer set, per representation and on average over them."""

import math

import numpy as np
import pyarrow as pa

from lorascope.adapters.layer_sets import reference_layer_set
from lorascope.stats.adapters import Adapters
from lorascope.stats.cells import DONE, FAILED, MISSING, PARTIAL, Cell
from lorascope.stats.columns import SANITY, holm_columns, mean_and_std, test_counts
from lorascope.stats.intervals import seeds_difference_interval
from lorascope.stats.paired import Drop, paired_drop

TOO_FEW_SEEDS = "no seed in common"

_NUMBERS = pa.float64()
_COMPARED = [
    *((name, _NUMBERS) for name in ("reference_accuracy", "accuracy")),
    *((name, _NUMBERS) for name in ("drop", "drop_low", "drop_high")),
    ("drop_method", pa.string()),
    *((name, _NUMBERS) for name in ("relative_drop", "relative_drop_low", "relative_drop_high", "p")),
    *((name, _NUMBERS) for name in ("cohen_h", "cohen_dz")),
]
_COUNTS = [("test_adapters", pa.int64()), ("test_units", pa.int64()), SANITY]
DROPS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("dataset", "representation", "probe", "reference", "layer_set")),
        *((name, pa.string()) for name in ("status", "reason")),
        *_COMPARED,
        ("p_holm", _NUMBERS),
        ("seeds", pa.int64()),
        *((f"seeds_drop_{name}", _NUMBERS) for name in ("mean", "std", "low", "high")),
        ("seeds_drop_values", pa.list_(_NUMBERS)),
        *_COUNTS,
    ]
)
MEAN_DROPS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("dataset", "probe", "reference", "layer_set")),
        ("representations", pa.list_(pa.string())),
        *_COMPARED,
        ("p_holm", _NUMBERS),
        *_COUNTS,
    ]
)


def drops_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a representation, probe and layer set other than the reference, also where a side is missing.

    ``p`` is the exact sign-flip test over units; ``p_holm`` is Holm-corrected over the representations of one
    probe and layer set. ``seeds_drop_*`` is the spread of the drop over the seeds that both sides have.
    """
    rows = [row for _, pairs in _families(cells) for row in _family_rows(pairs, adapters)]
    return pa.Table.from_pylist(rows, DROPS_SCHEMA)


def mean_drops_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a probe and layer set: the drop of the accuracy averaged over representations.

    Representations are averaged within each adapter first: they share the adapters, so that averaging their
    intervals would count each adapter many times. ``p_holm`` is Holm-corrected over the rows.
    """
    rows = [_mean_row(key, pairs, adapters) for key, pairs in _families(cells)]
    found = [row for row in rows if row]
    holm_columns(found, "p")
    return pa.Table.from_pylist(found, MEAN_DROPS_SCHEMA)


def _families(cells: list[Cell]) -> list[tuple[tuple[str, str], list[tuple[Cell, Cell]]]]:
    """Group (reference cell, other cell) by (probe, layer set)."""
    reference = reference_layer_set(cell.layer_set for cell in cells)
    references = {(cell.representation, cell.probe): cell for cell in cells if cell.layer_set == reference}
    families: dict[tuple[str, str], list[tuple[Cell, Cell]]] = {}
    for cell in cells:
        partner = references.get((cell.representation, cell.probe))
        if cell.layer_set != reference and partner is not None:
            families.setdefault((cell.probe, cell.layer_set), []).append((partner, cell))
    return list(families.items())


def _family_rows(pairs: list[tuple[Cell, Cell]], adapters: Adapters) -> list[dict]:
    rows = [_drop_row(reference, other, adapters) for reference, other in pairs]
    holm_columns(rows, "p")
    return rows


def _drop_row(reference: Cell, other: Cell, adapters: Adapters) -> dict:
    row = {
        "dataset": other.dataset,
        "representation": other.representation,
        "probe": other.probe,
        "reference": reference.layer_set,
        "layer_set": other.layer_set,
        **test_counts(adapters),
    }
    seeds = np.intersect1d(reference.seeds, other.seeds)
    if len(seeds) == 0:
        return row | {"status": _worse(reference, other), "reason": _missing_side(reference, other)}
    before, after = (_of_seeds(cell, seeds) for cell in (reference, other))
    accuracies = before.mean(axis=1) - after.mean(axis=1)
    compared = paired_drop(before.sum(axis=0), after.sum(axis=0), len(seeds), adapters.test_units)
    return (
        row
        | {"status": _worse(reference, other), "reason": ""}
        | _compared(compared)
        | _over_seeds(accuracies, before.shape[1])
    )


def _mean_row(key: tuple[str, str], pairs: list[tuple[Cell, Cell]], adapters: Adapters) -> dict | None:
    shared = [(*pair, np.intersect1d(pair[0].seeds, pair[1].seeds)) for pair in pairs]
    usable = [(reference, other, seeds) for reference, other, seeds in shared if len(seeds)]
    if not usable:
        return None
    # Every representation weighs the same, also with fewer seeds; the common multiple keeps the counts whole.
    common = math.lcm(*(len(seeds) for *_, seeds in usable))
    before, after = (
        sum(_of_seeds(row[side], row[2]).sum(axis=0) * (common // len(row[2])) for row in usable)
        for side in (0, 1)
    )
    probe, layer_set = key
    return {
        "dataset": pairs[0][1].dataset,
        "probe": probe,
        "reference": pairs[0][0].layer_set,
        "layer_set": layer_set,
        "representations": [other.representation for _, other, _ in usable],
        **_compared(paired_drop(before, after, common * len(usable), adapters.test_units)),
        **test_counts(adapters),
    }


def _of_seeds(cell: Cell, seeds: np.ndarray) -> np.ndarray:
    return cell.correct[np.isin(cell.seeds, seeds)]


def _compared(drop: Drop) -> dict:
    return {
        "reference_accuracy": drop.reference_accuracy,
        "accuracy": drop.accuracy,
        "drop": drop.absolute,
        "drop_low": drop.absolute_interval.low,
        "drop_high": drop.absolute_interval.high,
        "drop_method": drop.absolute_interval.method,
        "relative_drop": drop.relative,
        "relative_drop_low": drop.relative_interval.low,
        "relative_drop_high": drop.relative_interval.high,
        "p": drop.p,
        "cohen_h": drop.h,
        "cohen_dz": drop.dz,
    }


def _over_seeds(drops: np.ndarray, answers: int) -> dict:
    mean, std = mean_and_std(drops)
    interval = seeds_difference_interval(drops, answers)
    return {
        "seeds": len(drops),
        "seeds_drop_mean": mean,
        "seeds_drop_std": std,
        "seeds_drop_low": interval.low,
        "seeds_drop_high": interval.high,
        "seeds_drop_values": drops.tolist(),
    }


def _worse(reference: Cell, other: Cell) -> str:
    """Status of a comparison: that of its less finished side."""
    return max(reference.status, other.status, key=(DONE, PARTIAL, MISSING, FAILED).index)


def _missing_side(reference: Cell, other: Cell) -> str:
    gone = [f"{cell.layer_set} {cell.status}" for cell in (reference, other) if not cell.found]
    return " and ".join(gone) or TOO_FEW_SEEDS
