"""Controls beside the scores: what each could name without having read what the study asks about."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import stats

from lorascope.files import read_metadata, read_table
from lorascope.logs import error_in
from lorascope.stats.adapters import Adapters
from lorascope.stats.cells import Cell
from lorascope.stats.columns import SANITY, fields, holm_columns, test_counts
from lorascope.stats.intervals import ROUNDING_VARIANCE, accuracy_interval
from lorascope.stats.paired import paired_difference

PASSED, FAILED, VACUOUS, MISSING = "passed", "failed", "vacuous", "missing"
MAJORITY, PERMUTED, NORMS, RECIPE, RANDOM_LAYERS = "majority", "permuted", "norms", "recipe", "random_layers"
RECIPE_AND_LOSSES, LAYERS = "recipe_and_losses", "layers"
SINGLE = (MAJORITY, NORMS, RECIPE, RECIPE_AND_LOSSES)
# Of a p-value after Holm's correction.
SIGNIFICANT = 0.05
MORE, LESS, SAME = "more than random", "less than random", "as random"

_NUMBERS = pa.float64()
CONTROLS_SCHEMA = pa.schema(
    [
        *fields(("dataset", "control", "layer_set", "representation", "status", "reason"), pa.string()),
        pa.field("classifier", pa.string()),
        pa.field("draws", pa.int64()),
        *fields(("accuracy", "accuracy_std", "accuracy_low", "accuracy_high", "chance"), _NUMBERS),
        *fields(("best_layer_set", "best_representation", "best_probe"), pa.string()),
        *fields(("best_accuracy", "difference", "difference_low", "difference_high"), _NUMBERS),
        *fields(("p", "p_holm"), _NUMBERS),
        *fields(("test_adapters", "test_units"), pa.int64()),
        SANITY,
    ]
)
RANDOM_LAYERS_SCHEMA = pa.schema(
    [
        *fields(("dataset", "representation", "reference", "layer_set", "status"), pa.string()),
        *fields(("layers", "draws"), pa.int64()),
        *fields(("reference_accuracy", "accuracy", "drop"), _NUMBERS),
        *fields(("random_accuracy", "random_std", "random_low", "random_high", "random_drop"), _NUMBERS),
        *fields(("difference", "difference_low", "difference_high", "p", "p_holm", "rank_p"), _NUMBERS),
        *fields(("test_adapters", "test_units"), pa.int64()),
        SANITY,
    ]
)


@dataclass(frozen=True)
class Answers:
    """What the controls answered.

    Attributes:
        wanted: controls that the study asks for.
        rows: the answers, one a control, representation, layer set and draw.
        tested: places of the tested adapters in the test part.
        reason: why there are none; empty where there are.
    """

    wanted: list[str]
    rows: list[dict]
    tested: np.ndarray
    reason: str = ""

    def of(self, control: str, **names: str | None) -> list[dict]:
        """Return the rows of a control, all draws."""
        wanted = {"control": control, **names}
        return [row for row in self.rows if all(row[name] == value for name, value in wanted.items())]

    def groups(self, control: str) -> list[tuple[str | None, str]]:
        """Return the (representation, layer set) pairs of a control."""
        return list(dict.fromkeys((row["representation"], row["layer_set"]) for row in self.of(control)))


def read_answers(study: dict) -> Answers:
    """Read the controls of a study; where they are not, the reason is the last error of their log."""
    path = study.get("controls")
    if path is None:
        return Answers([], [], np.empty(0, int))
    if not Path(path).exists():
        reason = error_in(study["control_log"]) or f"{path} does not exist"
        return Answers(study["settings"]["controls"], [], np.empty(0, int), reason)
    metadata = read_metadata(path)
    return Answers(metadata["controls"], read_table(path).to_pylist(), np.array(metadata["tested"]))


def controls_table(cells: list[Cell], adapters: Adapters, answers: Answers) -> pa.Table:
    """One row a control and what it is of; ``status`` says whether the study stands beside it.

    ``majority``, ``norms`` and ``recipe`` pass where the best cell on the same layers, chosen on the
    validation part, is measurably more accurate on the same adapters: a claim for each by itself, so nothing
    is corrected. ``permuted`` passes where ridge on permuted labels is not measurably above chance: one-sided
    t-test over the draws of the accuracy averaged over classes, which is 1 / classes for answers that
    know nothing, however unequal the classes are (Holm over all of them).
    """
    compare = _Comparison(cells, adapters, answers)
    rows = [compare.absent(name) for name in answers.wanted if answers.reason and name != RANDOM_LAYERS]
    for control in SINGLE:
        rows += [compare.single(control, layer_set) for _, layer_set in answers.groups(control)]
    if RECIPE in answers.wanted and not answers.of(RECIPE) and not answers.reason:
        rows.append(compare.vacuous(RECIPE, "no setting of training differs between adapters"))
    permuted = [compare.permuted(*group) for group in answers.groups(PERMUTED)]
    holm_columns(permuted, "p")
    rows += [row | {"status": FAILED if row["p_holm"] < SIGNIFICANT else PASSED} for row in permuted]
    return pa.Table.from_pylist(rows, CONTROLS_SCHEMA)


def random_layers_table(cells: list[Cell], adapters: Adapters, answers: Answers, reference: str) -> pa.Table:
    """One row a representation and layer set: what ridge loses with it, and with random sets of its size.

    If its layers were chosen blindly, the layer set would be one of draws + 1 sets that cannot be told apart.
    ``p`` is that of Student's t for one more draw, two-sided; the status is by ``p_holm``, over the rows.
    ``rank_p`` is exact and not corrected: so few draws could not show what holds for all rows at once.
    """
    compare = _Comparison(cells, adapters, answers)
    groups = answers.groups(RANDOM_LAYERS)
    rows = [compare.random(*group, reference) for group in groups if group[1] != reference]
    holm_columns(rows, "p")
    for row in rows:
        status = MORE if row["difference"] > 0 else LESS
        row["status"] = status if row["p_holm"] < SIGNIFICANT else SAME
    return pa.Table.from_pylist(rows, RANDOM_LAYERS_SCHEMA)


class _Comparison:
    """Rows of the tables, all on the adapters that the controls were tested on."""

    def __init__(self, cells: list[Cell], adapters: Adapters, answers: Answers):
        self.cells = [cell for cell in cells if cell.found]
        self.adapters, self.answers = adapters, answers
        self.units = np.unique(adapters.test_units[answers.tested], return_inverse=True)[1]
        self.sizes = np.bincount(self.units)
        named = cells[0].dataset if cells else ""
        counts = {"test_adapters": len(self.units), "test_units": len(self.sizes)}
        self.common = {"dataset": named, "chance": adapters.chance, **test_counts(adapters), **counts}

    def absent(self, control: str) -> dict:
        return self._head(control, "") | {"status": MISSING, "reason": self.answers.reason}

    def vacuous(self, control: str, reason: str) -> dict:
        return self._head(control, "") | {"status": VACUOUS, "reason": reason}

    def single(self, control: str, layer_set: str) -> dict:
        (row,) = self.answers.of(control, layer_set=layer_set)
        hits = np.array(row["correct"])
        found = self._head(control, layer_set) | {"classifier": row["chosen"], "draws": 1}
        found |= self._accuracy(hits[None])
        best = self._best(lambda cell: layer_set in ("", cell.layer_set))
        if best is None:
            return found | {"status": MISSING, "reason": "no cell has finished"}
        seeds = len(best.seeds)
        right = best.correct[:, self.answers.tested].sum(axis=0)
        compared = paired_difference(right, seeds * hits, seeds, self.units)
        return found | {
            "best_layer_set": best.layer_set,
            "best_representation": best.representation,
            "best_probe": best.probe,
            "best_accuracy": compared.accuracy,
            "difference": compared.difference,
            "difference_low": compared.interval.low,
            "difference_high": compared.interval.high,
            "p": compared.p,
            "status": PASSED if compared.interval.low > 0 else FAILED,
            "reason": "" if compared.interval.low > 0 else "the best cell is not measurably better",
        }

    def permuted(self, representation: str, layer_set: str) -> dict:
        rows = self.answers.of(PERMUTED, representation=representation, layer_set=layer_set)
        hits = np.array([row["correct"] for row in rows])
        truth = self.adapters.truth["test"][self.answers.tested]
        head = self._head(PERMUTED, layer_set) | {"representation": representation, "classifier": "ridge"}
        return head | self._accuracy(hits) | {"draws": len(rows), "p": above_p(hits, truth)}

    def random(self, representation: str, layer_set: str, reference: str) -> dict:
        names = {"representation": representation, "layer_set": layer_set}
        drawn = np.array([row["correct"] for row in self.answers.of(RANDOM_LAYERS, **names)])
        (own,) = self.answers.of(LAYERS, **names)
        (whole,) = self.answers.of(LAYERS, representation=representation, layer_set=reference)
        right, accuracies = np.array(own["correct"]), drawn.mean(axis=1)
        before, after = float(np.mean(whole["correct"])), float(right.mean())
        compared = paired_difference(drawn.sum(axis=0), len(drawn) * right, len(drawn), self.units)
        return (
            self.common
            | names
            | {
                "reference": reference,
                "layers": own["layers"],
                "draws": len(drawn),
                "reference_accuracy": before,
                "accuracy": after,
                "drop": before - after,
                "random_accuracy": compared.accuracy,
                "random_std": float(accuracies.std(ddof=1)),
                "random_low": float(accuracies.min()),
                "random_high": float(accuracies.max()),
                "random_drop": before - compared.accuracy,
                "difference": compared.difference,
                "difference_low": compared.interval.low,
                "difference_high": compared.interval.high,
                "p": one_more_p(accuracies, after, len(right)),
                "rank_p": rank_p(accuracies, after),
            }
        )

    def _head(self, control: str, layer_set: str) -> dict:
        return self.common | {"control": control, "layer_set": layer_set, "representation": "", "reason": ""}

    def _accuracy(self, hits: np.ndarray) -> dict:
        """Mean over draws, its spread, and the test-set interval; ``hits`` is [draws, tested adapters]."""
        interval = accuracy_interval(np.bincount(self.units, hits.mean(axis=0)), self.sizes)
        spread = float(hits.mean(axis=1).std(ddof=1)) if len(hits) > 1 else None
        ends = {"accuracy_low": interval.low, "accuracy_high": interval.high}
        return {"accuracy": float(hits.mean()), "accuracy_std": spread, **ends}

    def _best(self, wanted: Callable[[Cell], bool]) -> Cell | None:
        """Return the cell that validation chooses, as for the study's best."""
        merit = {
            id(cell): (cell.values("validation_accuracy").mean(), -cell.values("validation_loss").mean())
            for cell in self.cells
        }
        return max(filter(wanted, self.cells), key=lambda cell: merit[id(cell)], default=None)


def above_p(hits: np.ndarray, truth: np.ndarray) -> float:
    """One-sided p of the t-test over draws that the accuracy averaged over classes is above 1 / classes.

    Whatever shares of answers a classifier gives to the classes, if it knows nothing they add up to 1 over
    the true classes too.

    Args:
        hits: [draws, adapters] whether a draw names the class.
        truth: (adapters,) class codes.
    """
    members = truth == np.unique(truth)[:, None]
    values = hits @ (members / members.sum(axis=1, keepdims=True)).mean(axis=0)
    knows_nothing = 1 / len(members)
    if values.std() == 0:
        return float(values[0] <= knows_nothing)
    return float(stats.ttest_1samp(values, knows_nothing, alternative="greater").pvalue)


def one_more_p(drawn: np.ndarray, own: float, answers: int) -> float:
    """Two-sided p that an accuracy is one more draw: Student's t of its distance from the draws' mean."""
    variance = max(drawn.var(ddof=1), ROUNDING_VARIANCE / answers**2)
    distance = abs(own - drawn.mean()) / np.sqrt(variance * (1 + 1 / len(drawn)))
    return float(2 * stats.t.sf(distance, len(drawn) - 1))


def rank_p(drawn: np.ndarray, own: float) -> float:
    """Two-sided Monte Carlo p (Davison & Hinkley 1997, 4.11) of one value among random ones."""
    # Accuracies are shares of the same whole number: equal ones are equal bit by bit.
    fewest = min((drawn <= own).sum(), (drawn >= own).sum())
    return float(min(1.0, 2 * (1 + fewest) / (1 + len(drawn))))
