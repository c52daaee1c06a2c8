"""What the report reads: results.json of a summary folder, with the look-ups that every part of it needs."""

from dataclasses import dataclass
from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.files import read_json
from lorascope.stats.aggregate import RESULTS_FILE, RESULTS_FORMAT
from lorascope.stats.cells import DONE

# Of several layer sets this is the one whose drop the study asks for.
QUESTION = "visual"
# More curves in one figure could not be told apart.
SHOWN_CURVES = 3


@dataclass(frozen=True)
class Summary:
    """A study's results on one data set; records are those of results.json."""

    results: dict

    @property
    def name(self) -> str:
        """Study and data set, as commands take them."""
        return f"{self.results['settings']['study']}/{self.results['dataset']}"

    @property
    def cells(self) -> list[dict]:
        return self.results["cells"]

    @property
    def found(self) -> list[dict]:
        """Cells with at least one run."""
        return [cell for cell in self.cells if cell["seeds"]]

    @property
    def unfinished(self) -> list[dict]:
        """Cells that are not done: failed, missing or partial."""
        return [cell for cell in self.cells if cell["status"] != DONE]

    @property
    def sizes(self) -> list[dict]:
        """Learning curves over sizes of the training part: one record a cell and share; often none."""
        return self.results["sizes"]

    @property
    def foreign(self) -> list[dict]:
        """Runs of probes that score how foreign an adapter is; often none."""
        return [run for run in self.results["runs"] if run["foreign_auroc"] is not None]

    @property
    def layer_sets(self) -> list[str]:
        return _unique(cell["layer_set"] for cell in self.cells)

    @property
    def probes(self) -> list[str]:
        return _unique(cell["probe"] for cell in self.cells)

    @property
    def representations(self) -> list[str]:
        return _unique(row[0] for row in self.rows)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(representation, probe), the most accurate on the reference layer set first."""
        pairs = _unique((cell["representation"], cell["probe"]) for cell in self.cells)
        return sorted(pairs, key=self._rank)

    @property
    def best(self) -> dict | None:
        """The cell that validation chose; None when no run is there."""
        identity = self.results["best"]
        return identity and next(cell for cell in self.cells if _same(cell, identity))

    @property
    def best_row(self) -> tuple[str, str] | None:
        """(representation, probe) of the best cell."""
        return self.best and (self.best["representation"], self.best["probe"])

    @property
    def best_row_cells(self) -> list[dict]:
        """The cells of ``best_row`` that have results, one a layer set."""
        cells = [self.cell(self.best_row, layer_set) for layer_set in self.layer_sets]
        return [cell for cell in cells if cell and cell["seeds"]]

    @property
    def three_best(self) -> list[tuple[str, str]]:
        """The rows with the highest validation accuracies, the best first; at most three."""
        ranked = sorted(self.found, key=lambda cell: -cell["validation_accuracy_mean"])
        return _unique((cell["representation"], cell["probe"]) for cell in ranked)[:SHOWN_CURVES]

    @property
    def question(self) -> str | None:
        """The layer set whose drop is the headline; None in a study of one layer set."""
        others = [name for name in self.layer_sets if name != self.results["reference"]]
        return QUESTION if QUESTION in others else next(iter(others), None)

    @property
    def headline_drop(self) -> dict | None:
        """The drop of the best cell's representation and probe from the reference to ``question``."""
        if self.best is None or self.question is None:
            return None
        return self.drop(self.best_row, self.question)

    def cell(self, row: tuple[str, str], layer_set: str) -> dict | None:
        """The cell of a (representation, probe) on a layer set; None when the study has none."""
        wanted = {"representation": row[0], "probe": row[1], "layer_set": layer_set}
        return next((cell for cell in self.cells if _same(cell, wanted)), None)

    def drop(self, row: tuple[str, str], layer_set: str) -> dict | None:
        """The drop of a (representation, probe) from the reference to a layer set."""
        wanted = {"representation": row[0], "probe": row[1], "layer_set": layer_set}
        return next((drop for drop in self.results["drops"] if _same(drop, wanted)), None)

    def control(self, control: str, cell: dict) -> float | None:
        """The accuracy of a control on the layers, and where it has one the representation, of a cell."""
        for row in self.results["controls"]:
            of = row["layer_set"] == cell["layer_set"]
            if of and row["control"] == control and row["representation"] in ("", cell["representation"]):
                return row["accuracy"]
        return None

    def label(self, row: tuple[str, str]) -> str:
        """Name a row; the probe is named only where there are several."""
        return row[0] if len(self.probes) == 1 else f"{row[0]} · {row[1]}"

    def label_of(self, cell: dict) -> str:
        """Name the row of a cell."""
        return self.label((cell["representation"], cell["probe"]))

    def _rank(self, row: tuple[str, str]) -> float:
        accuracies = [
            cell["test_accuracy_mean"]
            for name in (self.results["reference"], *self.layer_sets)
            if (cell := self.cell(row, name)) and cell["seeds"]
        ]
        return -accuracies[0] if accuracies else 1.0


def load_summary(summary_dir: str | Path) -> Summary:
    """Read the summary that ``lorascope.stats.aggregate`` wrote.

    Raises:
        LorascopeError: results.json is missing or of another version.
    """
    path = Path(summary_dir) / RESULTS_FILE
    results = read_json(path)
    if results.get("format") != RESULTS_FORMAT:
        raise LorascopeError(f"{path}: written by another version of lorascope; run aggregate again")
    return Summary(results)


def _same(record: dict, wanted: dict) -> bool:
    return all(record[name] == value for name, value in wanted.items())


def _unique(values) -> list:
    return list(dict.fromkeys(values))
