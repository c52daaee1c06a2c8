"""One cell of a study: its result files, or why there are none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lorascope.errors import LorascopeError
from lorascope.files import read_table
from lorascope.logs import error_in
from lorascope.stats.adapters import Adapters
from lorascope.stats.scores import SCORES, probability_scores

IDENTITY = ("dataset", "layer_set", "representation", "probe")
DONE, PARTIAL, FAILED, MISSING = "done", "partial", "failed", "missing"
# Of a step beside the cells that was made, and found that there is nothing to tell.
NOT_MEASURABLE = "not measurable"

TESTED_PARTS = ("validation", "test")

# What training writes of each run, and what follows from its probabilities; shares are fractions.
TRAINED_METRICS = (
    *("train_accuracy", "validation_accuracy", "test_accuracy"),
    *("train_f1", "train_precision", "train_recall", "train_auroc"),
    *("validation_f1", "validation_precision", "validation_recall"),
    *("test_f1", "test_precision", "test_recall"),
    *("train_loss", "validation_loss", "test_loss"),
    *("best_epoch", "epochs", "seconds"),
)
SCORED_METRICS = tuple(f"{part}_{score}" for part in TESTED_PARTS for score in SCORES)
# All of them are averaged over seeds.
METRICS = (*TRAINED_METRICS, *SCORED_METRICS)
CURVES = ("train_loss", "validation_loss", "validation_accuracy")

# Of single runs and not averaged; few probes have a score for classes that they were never shown.
RUN_ONLY = ("foreign_auroc", "temperature")
RUN_COLUMNS = [*IDENTITY, "seed", *TRAINED_METRICS, *RUN_ONLY, "features", "layers"]
DETAIL_COLUMNS = [
    "seed",
    *(f"curve_{name}" for name in CURVES),
    *(f"confusion_{part}" for part in TESTED_PARTS),
    *(f"{part}_probabilities" for part in TESTED_PARTS),
]


@dataclass(frozen=True)
class Cell:
    """Identity, status and the results of the seeds that there are, sorted by seed.

    Attributes:
        reason: why the status is not "done"; empty when it is.
        runs: one row a seed, with every metric; None when nothing was found.
        probabilities: part → (seeds, adapters, classes).
        correct: (seeds, test adapters) bool; None when nothing was found.
        curves: name → one float array per seed, one value per epoch.
        confusions: part → (seeds, classes, classes) counts, rows are the truth.
    """

    dataset: str
    layer_set: str
    representation: str
    probe: str
    status: str
    reason: str = ""
    runs: pa.Table | None = None
    probabilities: dict[str, np.ndarray] = field(default_factory=dict)
    correct: np.ndarray | None = None
    curves: dict[str, list[np.ndarray]] = field(default_factory=dict)
    confusions: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in IDENTITY}

    @property
    def found(self) -> bool:
        """Whether at least one seed has results."""
        return self.runs is not None

    @property
    def seeds(self) -> np.ndarray:
        return self.values("seed") if self.found else np.empty(0, dtype=np.int64)

    def values(self, column: str) -> np.ndarray:
        """Return a column of ``runs``, one value a seed."""
        return self.runs[column].to_numpy()


@dataclass(frozen=True)
class Block:
    """The files of consecutive seeds that one job trained."""

    runs: Path
    details: Path
    log: Path

    @property
    def absent(self) -> Path | None:
        """The first result file that is not there."""
        return next((path for path in (self.runs, self.details) if not path.exists()), None)


def read_cell(dataset: str, entry: dict, adapters: Adapters) -> Cell:
    """Read a cell of the study; absent files give a status and a reason instead of results.

    Args:
        dataset: name of the data set.
        entry: layer_set, representation, probe, and the paths ``runs``, ``details`` and ``logs``, one of
            each per block of seeds.
        adapters: the data set's adapters.

    Raises:
        LorascopeError: a file that exists is unreadable or does not belong to this data set.
    """
    identity = {"dataset": dataset, **{name: entry[name] for name in IDENTITY[1:]}}
    paths = zip(entry["runs"], entry["details"], entry["logs"], strict=True)
    blocks = [Block(*map(Path, of_block)) for of_block in paths]
    found = [block for block in blocks if block.absent is None]
    status, reason = _status(blocks)
    if not found:
        return Cell(**identity, status=status, reason=reason)
    runs = _by_seed([read_table(block.runs, RUN_COLUMNS) for block in found], found[0].runs)
    details = _by_seed([read_table(block.details, DETAIL_COLUMNS) for block in found], found[0].details)
    if not runs["seed"].equals(details["seed"]):
        raise LorascopeError(
            f"{found[0].details}: its seeds are not those of the runs beside it; delete both"
        )
    where = found[0].details
    probabilities = {part: _probabilities(details, part, adapters, where) for part in TESTED_PARTS}
    confusions = {part: _confusions(details, part, adapters, where) for part in TESTED_PARTS}
    return Cell(
        **identity,
        status=status,
        reason=reason,
        runs=_scored(runs, probabilities, confusions, adapters),
        probabilities=probabilities,
        correct=_correct(runs, probabilities["test"], adapters, where),
        curves={name: _lists(details[f"curve_{name}"]) for name in CURVES},
        confusions=confusions,
    )


def _status(blocks: list[Block]) -> tuple[str, str]:
    absent = [block for block in blocks if block.absent]
    if not absent:
        return DONE, ""
    error = next(filter(None, (error_in(block.log) for block in absent)), "")
    reason = error or f"{absent[0].absent.name} does not exist"
    if len(absent) < len(blocks):
        return PARTIAL, f"{len(blocks) - len(absent)} of {len(blocks)} seed blocks: {reason}"
    return (FAILED, error) if error else (MISSING, reason)


def status_of(files: Sequence[str | Path], log: str | Path) -> tuple[str, str]:
    """Return the status of a step that writes ``files`` in one go, and why it is not done."""
    absent = next((Path(path) for path in files if not Path(path).exists()), None)
    if absent is None:
        return DONE, ""
    error = error_in(log)
    return (FAILED, error) if error else (MISSING, f"{absent.name} does not exist")


def _by_seed(blocks: list[pa.Table], path: Path) -> pa.Table:
    table = pa.concat_tables(blocks).sort_by("seed").combine_chunks()
    if pc.count_distinct(table["seed"]).as_py() != table.num_rows:
        raise LorascopeError(f"{path.parent}: a seed stands in two blocks; delete the folder and run again")
    return table


def _flat(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().flatten().to_numpy()


def _lists(column: pa.ChunkedArray) -> list[np.ndarray]:
    lengths = pc.list_value_length(column).to_numpy()
    return np.split(_flat(column).astype(np.float64), np.cumsum(lengths)[:-1])


def _scored(runs: pa.Table, probabilities: dict, confusions: dict, adapters: Adapters) -> pa.Table:
    for part in TESTED_PARTS:
        scores = probability_scores(probabilities[part], adapters.truth[part], confusions[part])
        for name, values in scores.items():
            runs = runs.append_column(f"{part}_{name}", pa.array(values))
    return runs


def _probabilities(details: pa.Table, part: str, adapters: Adapters, path: Path) -> np.ndarray:
    shape = (details.num_rows, len(adapters.truth[part]), len(adapters.classes))
    return _shaped(_flat(details[f"{part}_probabilities"]), shape, path)


def _correct(runs: pa.Table, probabilities: np.ndarray, adapters: Adapters, path: Path) -> np.ndarray:
    truth = adapters.truth["test"]
    correct = probabilities.argmax(axis=2) == truth
    # Probabilities are rounded to float32, so that a near tie may fall the other way, but never two.
    surplus = np.abs(correct.sum(axis=1) - runs["test_accuracy"].to_numpy() * len(truth))
    if surplus.max() > 1.5:
        raise LorascopeError(f"{path}: it contradicts the test accuracy of the runs; delete both")
    return correct


def _confusions(details: pa.Table, part: str, adapters: Adapters, path: Path) -> np.ndarray:
    classes = len(adapters.classes)
    return _shaped(_flat(details[f"confusion_{part}"]), (details.num_rows, classes, classes), path)


def _shaped(values: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if values.size != np.prod(shape):
        raise LorascopeError(f"{path}: does not fit the data set's adapters; delete it and run again")
    return values.reshape(shape)
