"""Which adapters the controls are trained and tested on, and how an answer is kept."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lorascope.data.split import ALL, PARTS, TEST, TRAIN, VALIDATION
from lorascope.files import read_table

# Controls of a large data set are trained on a part of it: their cost grows with the square.
MOST = {TRAIN: 2000, VALIDATION: 500, TEST: 1000}
SEED = 0

ANSWERS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("control", "representation", "layer_set", "chosen")),
        *((name, pa.int64()) for name in ("draw", "layers", "features")),
        ("validation_accuracy", pa.float64()),
        ("correct", pa.list_(pa.bool_())),
    ]
)


@dataclass(frozen=True)
class Split:
    """The adapters of each part that the controls use.

    Attributes:
        rows: part → rows of the adapter table.
        classes: part → class codes, int64.
        n_classes: number of classes.
        tested: places of the tested adapters among all of the test part.
    """

    rows: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]
    n_classes: int
    tested: np.ndarray


def read_split(adapters: str) -> Split:
    """Choose at most ``MOST`` adapters of each part of a label and split table."""
    table = read_table(adapters, ["label", "split"])
    names, codes = np.unique(table["label"].cast(pa.string()).to_pylist(), return_inverse=True)
    split = np.array(table["split"].to_pylist())
    all_rows = {part: np.flatnonzero((split == part) | (split == ALL)) for part in PARTS}
    places = {part: _some(len(rows), MOST[part]) for part, rows in all_rows.items()}
    rows = {part: all_rows[part][places[part]] for part in PARTS}
    return Split(rows, {part: codes[rows[part]] for part in PARTS}, len(names), places[TEST])


def _some(count: int, most: int) -> np.ndarray:
    chosen = np.random.default_rng(SEED).choice(count, min(count, most), replace=False)
    return np.sort(chosen)


def answer(control: str, layer_set: str, correct: np.ndarray, validation_accuracy: float, **more) -> dict:
    """Return one row of the answers: which of the tested adapters were named rightly."""
    return {
        "control": control,
        "representation": more.get("representation"),
        "layer_set": layer_set,
        "chosen": more.get("chosen", ""),
        "draw": more.get("draw", 0),
        "layers": more.get("layers"),
        "features": more.get("features"),
        "validation_accuracy": float(validation_accuracy),
        "correct": np.asarray(correct).tolist(),
    }
