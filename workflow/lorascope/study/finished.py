"""A finished study: where its tables, cells, fits and data lie. Needs no plan and no config."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorascope.adapters.layer_sets import group_of, groups_of, select_layers
from lorascope.data.prepare import NORMS_FILE
from lorascope.data.split import ALL
from lorascope.errors import LorascopeError
from lorascope.features.registry import is_fitted, parts
from lorascope.files import read_json, read_table
from lorascope.probes.saved import SavedProbe, load_probe
from lorascope.probes.schedule import merit
from lorascope.stats.adapters import Adapters, read_adapters
from lorascope.study.named import SUMMARY_FILE, find_summary


@dataclass(frozen=True)
class FinishedCell:
    """One cell with results.

    Attributes:
        representation, layer_set, probe: its name.
        key: its content address.
        folder: where its files lie.
        seeds: those that are done.
        validation_accuracy, validation_loss, test_accuracy: means over the seeds.
    """

    representation: str
    layer_set: str
    probe: str
    key: str
    folder: Path
    seeds: tuple[int, ...]
    validation_accuracy: float
    validation_loss: float
    test_accuracy: float

    def __str__(self) -> str:
        return f"{self.representation}/{self.layer_set}/{self.probe}"

    def probe_file(self, seed: int) -> Path:
        """Return where the trained probe of a seed lies if it is kept."""
        return self.folder / "seeds" / f"seed-{seed}.probe.safetensors"

    @property
    def missing_probes(self) -> list[int]:
        """Return the seeds whose trained probes are not kept."""
        return [seed for seed in self.seeds if not self.probe_file(seed).exists()]

    def seed_probabilities(self, part: str) -> dict[int, np.ndarray]:
        """Return seed → what the study answered on a part, float32 [adapters · classes]."""
        found: dict[int, np.ndarray] = {}
        for file in sorted(self.folder.glob("seeds-*.details.parquet")):
            table = read_table(file, ["seed", f"{part}_probabilities"])
            for row in table.to_pylist():
                found[row["seed"]] = np.array(row[f"{part}_probabilities"], np.float32)
        return {seed: found[seed] for seed in self.seeds}

    def probabilities(self, part: str, n_classes: int) -> np.ndarray:
        """Return what the study answered on a part, the mean over seeds, float64 [adapters, classes]."""
        values = np.array(list(self.seed_probabilities(part).values()), np.float64)
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

    @property
    def adapters_file(self) -> Path:
        """Where the label and split table lies."""
        return self.shared / "labels" / self.keys["labels"] / "adapters.parquet"

    def adapters(self, *columns: str) -> dict[str, np.ndarray]:
        """Return columns of the label and split table, each [adapters]."""
        table = read_table(self.adapters_file, list(columns))
        return {name: np.array(table[name].to_pylist()) for name in columns}

    def tested(self) -> Adapters:
        """Return truth and independent units of the test part."""
        return read_adapters(self.adapters_file, read_json(self.adapters_file.with_name("manifest.json")))

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

    def feature_files(self, representation: str, layers: Sequence[str]) -> list[Path]:
        """Return the feature files that hold some layers, part by part, group by group.

        Raises:
            LorascopeError: the study was made before its results said where they are.
        """
        if "features" not in self.keys:
            raise LorascopeError(f"{self.folder}: made by an earlier version; run snakemake again")
        return [
            self.shared / "features" / part / self.keys["features"][part] / f"{group}.parquet"
            for part in parts(representation)
            for group in groups_of(list(layers), self.results["settings"]["grouping"])
        ]

    def probes(self, cell: FinishedCell) -> list[SavedProbe]:
        """Return the trained probe of each seed of a cell.

        Raises:
            LorascopeError: they are not kept; says which command does that.
        """
        if cell.missing_probes:
            raise LorascopeError(
                f"{self.folder}: the trained probes of {cell} are not kept; keep them first: "
                f"lorascope keep {self.folder} --representation {cell.representation} "
                f"--layer-set {cell.layer_set} --probe {cell.probe}"
            )
        return [load_probe(cell.probe_file(seed)) for seed in cell.seeds]

    def cells(self) -> list[FinishedCell]:
        """Return the cells that have results."""
        return [self._cell(record) for record in self.results["cells"] if record["seed_values"]]

    def _cell(self, record: dict) -> FinishedCell:
        names = tuple(record[name] for name in ("representation", "layer_set", "probe"))
        representation, layer_set, probe = names
        key = self.keys["cells"]["/".join(names)]
        return FinishedCell(
            *names,
            key,
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

    def best_cells(self) -> list[FinishedCell]:
        """Return the best cell of each layer set by the validation part, one probe's or another's."""
        return [
            self.choose(layer_set=name) for name in dict.fromkeys(cell.layer_set for cell in self.cells())
        ]


def find_study(wanted: str | Path, results: str | Path) -> FinishedStudy:
    """Return the study that a name or a path means.

    Raises:
        LorascopeError: as :func:`lorascope.study.named.find_summary`.
    """
    return FinishedStudy(find_summary(wanted, results).parent)


def _known(cells: Sequence[FinishedCell]) -> str:
    names = list(map(str, cells))
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"
