"""Which representation is better: every two of them, on the same layer set and probe, adapter by adapter.

All are tested on one fixed test part, so the comparison is paired: its units are the test adapters, and the
exact sign-flip test needs no correction for the sharing. (The corrected resampled t-test of Nadeau & Bengio,
2003, is for scores over overlapping training parts, which a fixed split does not have.)
"""

from itertools import combinations

import numpy as np
import pyarrow as pa

from lorascope.stats.adapters import Adapters
from lorascope.stats.cells import Cell
from lorascope.stats.columns import SANITY, holm_columns, test_counts
from lorascope.stats.paired import paired_difference

_NUMBERS = pa.float64()
COMPARISONS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("dataset", "layer_set", "probe", "representation", "other")),
        *((name, _NUMBERS) for name in ("accuracy", "other_accuracy")),
        *((name, _NUMBERS) for name in ("difference", "difference_low", "difference_high")),
        ("difference_method", pa.string()),
        *((name, _NUMBERS) for name in ("p", "p_holm", "cohen_h", "cohen_dz")),
        *((name, pa.int64()) for name in ("seeds", "test_adapters", "test_units")),
        SANITY,
    ]
)


def comparisons_table(cells: list[Cell], adapters: Adapters) -> pa.Table:
    """One row a layer set, probe and pair of representations, the more accurate one first.

    ``p`` is the exact sign-flip test over units, ``p_holm`` Holm-corrected over the pairs of one layer set
    and probe. Pairs without a common seed have no row.
    """
    families: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.found:
            families.setdefault((cell.layer_set, cell.probe), []).append(cell)
    rows = []
    for members in families.values():
        compared = [_row(*pair, adapters) for pair in combinations(members, 2)]
        family = [row for row in compared if row]
        holm_columns(family, "p")
        rows += family
    return pa.Table.from_pylist(rows, COMPARISONS_SCHEMA)


def _row(one: Cell, two: Cell, adapters: Adapters) -> dict | None:
    seeds = np.intersect1d(one.seeds, two.seeds)
    if len(seeds) == 0:
        return None
    sides = [(cell, cell.correct[np.isin(cell.seeds, seeds)].sum(axis=0)) for cell in (one, two)]
    (first, hits), (second, other_hits) = sorted(sides, key=lambda side: -side[1].sum())
    compared = paired_difference(hits, other_hits, len(seeds), adapters.test_units)
    return {
        **{name: first.identity[name] for name in ("dataset", "layer_set", "probe", "representation")},
        "other": second.representation,
        "accuracy": compared.accuracy,
        "other_accuracy": compared.other_accuracy,
        "difference": compared.difference,
        "difference_low": compared.interval.low,
        "difference_high": compared.interval.high,
        "difference_method": compared.interval.method,
        "p": compared.p,
        "cohen_h": compared.h,
        "cohen_dz": compared.dz,
        "seeds": len(seeds),
        **test_counts(adapters),
    }
