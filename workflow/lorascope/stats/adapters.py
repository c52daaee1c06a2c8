"""The adapters of a study's data set as statistics see them: who is tested, on what truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lorascope.errors import LorascopeError
from lorascope.files import read_table

# At most ten adapters: the three parts are the same whole set (the sanity rule), stored as this one part.
WHOLE_SET = "all"
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Adapters:
    """Truth of each part and the independent units of the test part.

    Attributes:
        classes: class names, sorted; a class's position is its code.
        truth: part name → (adapters,) int64 class codes, in the order of the stored probabilities.
        test_ids: (test adapters,) the adapters' ids.
        units: part name → (adapters,) int64 codes; adapters of one unit belong together, units are
            independent of each other.
        unit: what a unit is, "adapter" or "group".
        sanity: the three parts are the same adapters.
        duplicates: adapters with equal weights: number of ``sets``, of ``adapters`` in them, and of sets
            that lie ``across_parts`` (what is tested was trained on).
    """

    classes: tuple[str, ...]
    truth: dict[str, np.ndarray]
    test_ids: np.ndarray
    units: dict[str, np.ndarray]
    unit: str
    sanity: bool
    duplicates: dict[str, int]

    @property
    def test_units(self) -> np.ndarray:
        """(test adapters,) their units."""
        return self.units["test"]

    @property
    def unit_sizes(self) -> np.ndarray:
        """(units,) test adapters in each unit."""
        return np.bincount(self.test_units)

    @property
    def chance(self) -> float:
        """Test accuracy of always naming the most frequent class of the training part."""
        commonest = np.bincount(self.truth["train"], minlength=len(self.classes)).argmax()
        return float(np.mean(self.truth["test"] == commonest))


def read_adapters(path: str | Path, manifest: dict) -> Adapters:
    """Read the label and split table of a data set.

    Raises:
        LorascopeError: the table is unreadable, a part is empty, or its classes are not the manifest's.
    """
    table = read_table(path)
    if absent := {"adapter", "label", "split"} - set(table.column_names):
        raise LorascopeError(f"{path}: lacks columns: {', '.join(sorted(absent))}; run prepare again")
    labels = table["label"].cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
    classes, codes = np.unique(labels, return_inverse=True)
    if list(classes) != list(manifest["classes"]):
        raise LorascopeError(f"{path}: its classes are not those of the manifest; run prepare again")
    split = table["split"]
    sanity = bool(pc.any(pc.equal(split, WHOLE_SET)).as_py())
    rows = {part: _rows(split, WHOLE_SET if sanity else part) for part in PARTS}
    if empty := [part for part in PARTS if not rows[part].any()]:
        raise LorascopeError(f"{path}: no adapter in the {empty[0]} part; run prepare again")
    unit, units = _units(table)
    ids = table["adapter"].to_numpy(zero_copy_only=False).astype(str)
    return Adapters(
        classes=tuple(classes.tolist()),
        truth={part: codes[rows[part]] for part in PARTS},
        test_ids=ids[rows["test"]],
        units={part: np.unique(units[rows[part]], return_inverse=True)[1] for part in PARTS},
        unit=unit,
        sanity=sanity,
        duplicates=_duplicates(manifest["duplicates"], ids, split),
    )


def _rows(split: pa.ChunkedArray, part: str) -> np.ndarray:
    return pc.equal(split, part).to_numpy()


def _duplicates(sets: list[list[str]], ids: np.ndarray, split: pa.ChunkedArray) -> dict[str, int]:
    part_of = dict(zip(ids.tolist(), split.to_pylist(), strict=True)) if sets else {}
    across = sum(len({part_of[member] for member in members}) > 1 for members in sets)
    return {"sets": len(sets), "adapters": sum(map(len, sets)), "across_parts": across}


def _units(table: pa.Table) -> tuple[str, np.ndarray]:
    """Adapters of one group share images or a concept: they are one draw from the world, not several."""
    if "group" not in table.column_names:
        return "adapter", np.arange(table.num_rows)
    groups = table["group"].cast(pa.string()).to_numpy(zero_copy_only=False)
    return "group", np.unique(groups.astype(str), return_inverse=True)[1]
