"""Two studies cell by cell: paired where both tested the same adapters, else as independent samples."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lorascope.files import read_table
from lorascope.stats.cells import IDENTITY
from lorascope.stats.columns import holm_columns
from lorascope.stats.intervals import Interval
from lorascope.stats.paired import cohen_h, paired_difference

PAIRED, INDEPENDENT = "paired", "independent"
# The data set's name is not part of it: two data sets can be compared.
CELL = IDENTITY[1:]


@dataclass(frozen=True)
class Answers:
    """What one cell answered: (adapters,) arrays, sorted by the adapters' ids."""

    ids: np.ndarray
    classes: np.ndarray
    units: np.ndarray
    hits: np.ndarray
    seeds: int

    def tests_the_same_as(self, other: "Answers") -> bool:
        return np.array_equal(self.ids, other.ids) and np.array_equal(self.classes, other.classes)


def compare_studies(
    first_cells: list[dict], second_cells: list[dict], first_dir: str | Path, second_dir: str | Path
) -> list[dict]:
    """Compare two studies cell by cell; what only one of them has, or finished, is listed too.

    Args:
        first_cells, second_cells: the records of ``cells`` in results.json.
        first_dir, second_dir: the folders of answers.parquet.

    Returns:
        One record a cell: its identity, ``first`` and ``second`` accuracy with ``…_low``, ``…_high`` and
        ``…_status`` ("absent" where a study has no such cell); where both have results ``difference``
        (second − first) with its 95 % test-set interval, ``method``, ``cohen_h``, and for paired cells ``p``
        and ``p_holm``. ``method`` is "paired" (the same test adapters: exact sign-flip test, adjusted Wald
        interval) or "independent" (the square-and-add interval of Newcombe, 1998; no test).
    """
    sides = [{_key(cell): cell for cell in cells} for cells in (first_cells, second_cells)]
    answers = [read_answers(folder) for folder in (first_dir, second_dir)]
    records = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        cells = [side.get(key) for side in sides]
        record = dict(zip(CELL, key, strict=True)) | _side("first", cells[0]) | _side("second", cells[1])
        if all(cell and cell["seeds"] for cell in cells):
            record |= _difference(record, *(table[key] for table in answers))
        records.append(record)
    holm_columns(records, "p")
    return records


def read_answers(folder: str | Path) -> dict[tuple[str, ...], Answers]:
    """Read the answers of every cell of a summary.

    Raises:
        LorascopeError: answers.parquet is missing or unreadable.
    """
    table = read_table(Path(folder) / "answers.parquet")
    keys = pc.binary_join_element_wise(*(table[name] for name in CELL), "\0")
    return {
        tuple(key.split("\0")): _answers(table.filter(pc.equal(keys, key)))
        for key in pc.unique(keys).to_pylist()
    }


def _answers(rows: pa.Table) -> Answers:
    rows = rows.sort_by("adapter")
    ids, classes, units, hits = (rows[name].to_numpy() for name in ("adapter", "class", "unit", "hits"))
    return Answers(ids, classes, units, hits, rows["seeds"][0].as_py())


def _key(cell: dict) -> tuple[str, ...]:
    return tuple(cell[name] for name in CELL)


def _side(name: str, cell: dict | None) -> dict:
    return {
        name: cell and cell["test_accuracy_mean"],
        f"{name}_low": cell and cell["test_accuracy_adapters_low"],
        f"{name}_high": cell and cell["test_accuracy_adapters_high"],
        f"{name}_status": cell["status"] if cell else "absent",
    }


def _difference(record: dict, first: Answers, second: Answers) -> dict:
    if first.tests_the_same_as(second):
        return _paired(first, second)
    interval = square_and_add(record)
    return {
        "difference": record["second"] - record["first"],
        "difference_low": interval.low,
        "difference_high": interval.high,
        "method": INDEPENDENT,
        "cohen_h": cohen_h(record["second"], record["first"]),
    }


def _paired(first: Answers, second: Answers) -> dict:
    # The common multiple keeps the counts whole where the numbers of seeds differ.
    trials = math.lcm(first.seeds, second.seeds)
    hits = [side.hits * (trials // side.seeds) for side in (second, first)]
    units = np.unique(first.units, return_inverse=True)[1]
    compared = paired_difference(*hits, trials, units)
    return {
        "difference": compared.difference,
        "difference_low": compared.interval.low,
        "difference_high": compared.interval.high,
        "method": PAIRED,
        "p": compared.p,
        "cohen_h": compared.h,
    }


def square_and_add(record: dict) -> Interval:
    """Interval of a difference of two independent shares from their own intervals (Newcombe 1998, method 10).

    Studies whose test parts overlap are positively correlated: for them it errs on the wide side.
    """
    first, second = (
        (record[name], record[f"{name}_low"], record[f"{name}_high"]) for name in ("first", "second")
    )
    difference = second[0] - first[0]
    low = difference - math.hypot(second[0] - second[1], first[2] - first[0])
    high = difference + math.hypot(second[2] - second[0], first[0] - first[1])
    return Interval(max(-1.0, low), min(1.0, high), INDEPENDENT)
