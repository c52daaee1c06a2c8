"""A finished study: where its tables, cells, fits and data lie. Needs no plan and no config."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorascope.adapters.layer_sets import group_of, select_layers
from lorascope.data.prepare import NORMS_FILE
from lorascope.data.split import ALL
from lorascope.errors import LorascopeError
from lorascope.features.registry import is_fitted
from lorascope.files import read_json, read_table
from lorascope.probes.saved import SavedProbe, load_probe
from lorascope.probes.schedule import merit
from lorascope.probes.train import probe_file
from lorascope.study.named import SUMMARY_FILE, find_summary


@dataclass(frozen=True)
class FinishedCell:
    """One cell with results.

    Attributes:
        representation, layer_set, probe: its name.
        folder: where its files lie.
        seeds: those that are done.
        validation_accuracy, validation_loss, test_accuracy: means over the seeds.
    """

    representation: str
    layer_set: str
    probe: str
    folder: Path
    seeds: tuple[int, ...]
    validation_accuracy: float
    validation_loss: float
    test_accuracy: float

    def probes(self) -> list[SavedProbe]:
        """Return the trained probe of each seed."""
        return [load_probe(probe_file(self.folder, seed)) for seed in self.seeds]

    def probabilities(self, part: str, n_classes: int) -> np.ndarray:
        """Return what the study answered on a part, the mean over seeds, float64 [adapters, classes]."""
        files = [self.folder / "seeds" / f"seed-{seed}.details.parquet" for seed in self.seeds]
        rows = [read_table(file, [f"{part}_probabilities"]).to_pylist()[0] for file in files]
        values = np.array([row[f"{part}_probabilities"] for row in rows], np.float64)
        return values.mean(axis=0).reshape(-1, n_classes)


class FinishedStudy:
    """One data set of a named study, such as ``results/studies/default/zoo``.

    Attributes:
        folder: where its tables and its page lie.
        results: what ``summary/results.json`` holds.
        shared: where what it has in common with other studies of the data set lies, such as ``results/zoo``.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.results = read_json(self.folder / SUMMARY_FILE)
        # The folders of all studies lie in results/studies, whatever name the working directory gives them.
        self.shared = Path(os.path.normpath(self.folder.absolute())).parents[2] / self.results["dataset"]
        self.keys = self.results["keys"]

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of all probabilities."""
        return self.results["classes"]

    @property
    def data_folder(self) -> Path:
        """Where the prepared weights lie."""
        return self.shared / "data" / self.keys["data"]

    def adapters(self, *columns: str) -> dict[str, np.ndarray]:
        """Return columns of the label and split table, each [adapters]."""
        table = read_table(self.shared / "labels" / self.keys["labels"] / "adapters.parquet", list(columns))
        return {name: np.array(table[name].to_pylist()) for name in columns}

    def part(self, part: str) -> np.ndarray:
        """Return the rows of a part of the split."""
        split = self.adapters("split")["split"]
        return np.flatnonzero((split == part) | (split == ALL))

    def norms(self, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return layer → ‖ΔW‖_F of every adapter, float64 [adapters]."""
        table = read_table(self.data_folder / NORMS_FILE, list(layers)).combine_chunks()
        # By way of a tensor, because a column's own to_numpy imports pandas.
        (batch,) = table.select(list(layers)).to_batches()
        return dict(zip(layers, batch.to_tensor().to_numpy().T, strict=True))

    def layers(self, layer_set: str) -> list[str]:
        """Return the layers of a layer set.

        Raises:
            LorascopeError: the study's settings know no such layer set.
        """
        patterns = self.results["settings"]["layer_patterns"]
        if layer_set not in patterns:
            raise LorascopeError(
                f"{self.folder}: no layer set '{layer_set}'; there are: {', '.join(patterns)}"
            )
        table = read_table(self.data_folder / "layers.parquet", ["layer"])
        known = list(dict.fromkeys(table["layer"].to_pylist()))
        return select_layers(known, patterns[layer_set], f"layer set '{layer_set}'")

    def group_of(self, layer: str) -> str:
        """Return the layer group of a layer."""
        return group_of(layer, self.results["settings"]["grouping"])

    def fit_file(self, representation: str, group: str) -> Path | None:
        """Return the fit of one layer group; None where nothing is fitted."""
        if not is_fitted(representation):
            return None
        return (
            self.shared / "fits" / representation / self.keys["fits"][representation] / f"{group}.safetensors"
        )

    def cells(self) -> list[FinishedCell]:
        """Return the cells that have results."""
        return [self._cell(record) for record in self.results["cells"] if record["seed_values"]]

    def _cell(self, record: dict) -> FinishedCell:
        names = tuple(record[name] for name in ("representation", "layer_set", "probe"))
        representation, layer_set, probe = names
        key = self.keys["cells"]["/".join(names)]
        return FinishedCell(
            *names,
            self.shared / "probes" / representation / f"{layer_set}.{probe}" / key,
            tuple(record["seed_values"]),
            record["validation_accuracy_mean"],
            # A loss that is not finite is stored as none.
            math.inf if record["validation_loss_mean"] is None else record["validation_loss_mean"],
            record["test_accuracy_mean"],
        )

    def choose(
        self, representation: str | None = None, layer_set: str | None = None, probe: str | None = None
    ) -> FinishedCell:
        """Return the cell with the best validation accuracy, then loss, among those named so.

        Raises:
            LorascopeError: there is no such cell.
        """
        wanted = {"representation": representation, "layer_set": layer_set, "probe": probe}
        cells = self.cells()
        found = [
            cell
            for cell in cells
            if all(value in (None, getattr(cell, name)) for name, value in wanted.items())
        ]
        if not found:
            named = ", ".join(f"{name} {value}" for name, value in wanted.items() if value) or "any name"
            raise LorascopeError(f"{self.folder}: no finished cell of {named}; there are: {_known(cells)}")
        return max(found, key=lambda cell: merit(cell.validation_accuracy, cell.validation_loss))


def find_study(wanted: str | Path, results: str | Path) -> FinishedStudy:
    """Return the study that a name or a path means.

    Raises:
        LorascopeError: as :func:`lorascope.study.named.find_summary`.
    """
    return FinishedStudy(find_summary(wanted, results).parent)


def _known(cells: Sequence[FinishedCell]) -> str:
    names = [f"{cell.representation}/{cell.layer_set}/{cell.probe}" for cell in cells]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"
