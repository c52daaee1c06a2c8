"""Finished training runs, read back; what is missing is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.files import read_json, read_table

COLUMNS = (
    *("epoch", "train_loss", "validation_accuracy", "validation_loss", "test_accuracy"),
    *("activation_rate", "threshold", "energy_store", "samples_trained", "samples_skipped"),
    *("seconds", "cpu_seconds", "flops_forward", "flops_backward", "flops_scoring"),
    *("energy_used", "energy_dense"),
)


@dataclass(frozen=True)
class Run:
    """One gate trained with one seed.

    Attributes:
        epochs: column → [epochs] float64.
        about: what ``run.json`` holds.
    """

    gate: str
    seed: int
    epochs: dict[str, np.ndarray]
    about: dict

    def total(self, column: str) -> float:
        """Return the sum of a column over the epochs."""
        return float(self.epochs[column].sum())

    def last(self, column: str) -> float:
        """Return a column's value after the last epoch."""
        return float(self.epochs[column][-1])

    @property
    def flops(self) -> float:
        """Floating-point operations of scoring, forward and backward passes."""
        return sum(self.total(f"flops_{part}") for part in ("forward", "backward", "scoring"))

    @property
    def candidates(self) -> float:
        """Samples that the gate chose among."""
        return self.total("samples_trained") + self.total("samples_skipped")

    @cached_property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / self.about["classes"]


def read_runs(folders: Sequence[str | Path]) -> tuple[list[Run], list[dict[str, str]]]:
    """Read training runs.

    Args:
        folders: of the runs, each written by ``lorascope sparse-train``.

    Returns:
        The runs, and for each folder without one its ``run`` and ``reason``.

    Raises:
        DamagedFileError: a file of a run is damaged.
        LorascopeError: no run at all, one twice, or runs whose settings differ in more than the gate.
    """
    runs, problems = [], []
    for folder in folders:
        try:
            runs.append(_read_run(Path(folder)))
        except DamagedFileError:
            raise
        except LorascopeError as error:
            problems.append({"run": str(folder), "reason": str(error)})
    if not runs:
        raise LorascopeError(
            f"no finished run in {len(problems)} folders; the first: {problems[0]['reason']}"
        )
    _check(runs)
    return runs, problems


def _read_run(folder: Path) -> Run:
    about = read_json(folder / "run.json")
    table = read_table(folder / "epochs.parquet", list(COLUMNS))
    epochs = {name: table[name].to_numpy().astype(np.float64) for name in COLUMNS}
    return Run(about["gate"], about["seed"], epochs, about)


def _check(runs: list[Run]) -> None:
    names = [(run.gate, run.seed) for run in runs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        gate, seed = min(twice)
        raise LorascopeError(f"gate {gate}, seed {seed}: two runs; give one folder each")
    first = runs[0]
    for run in runs[1:]:
        differing = [name for name, value in _shared(run).items() if _shared(first)[name] != value]
        if differing:
            raise LorascopeError(
                f"gate {run.gate}, seed {run.seed}: other {', '.join(differing)} than gate {first.gate}, seed"
                f" {first.seed}; compare runs that differ in the gate only"
            )


def _shared(run: Run) -> dict:
    """What all runs of a comparison have in common."""
    settings = {name: value for name, value in run.about["settings"].items() if name != "gate"}
    return {**settings, **{name: run.about[name] for name in ("images", "device", "precision")}}
