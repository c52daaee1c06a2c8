"""Which layers hold the label: ranking with intervals, groups of layers, what the best ones are worth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import stats

from lorascope.adapters.names import attention_of, block_of, projection_of
from lorascope.files import read_metadata, read_table
from lorascope.probes.importance import BEST, EVERY, GROUP, KEEP, LAYER, REMOVE, WITHOUT_GROUP
from lorascope.stats.adapters import Adapters
from lorascope.stats.columns import SANITY, fields, holm_columns, test_counts
from lorascope.stats.intervals import CONFIDENCE, accuracy_interval
from lorascope.stats.paired import Difference, difference_ends, paired_difference

_WHERE = ("dataset", "representation")
_PLACE = ("block", "attention", "projection")
_LEARNT = ("learners", "learner_units", "folds")

LAYERS_SCHEMA = pa.schema(
    [
        *fields((*_WHERE, "layer", *_PLACE), pa.string()),
        pa.field("rank", pa.int64()),
        *fields(("rank_low", "rank_high", "accuracy", "accuracy_low", "accuracy_high"), pa.float64()),
        *fields(("test_accuracy", "test_accuracy_low", "test_accuracy_high", "penalty"), pa.float64()),
        *fields((*_LEARNT, "test_adapters", "test_units"), pa.int64()),
        SANITY,
    ]
)
LAYER_GROUPS_SCHEMA = pa.schema(
    [
        *fields((*_WHERE, *_PLACE), pa.string()),
        pa.field("layers", pa.int64()),
        *fields(("accuracy", "accuracy_low", "accuracy_high"), pa.float64()),
        *fields(("loss", "loss_low", "loss_high", "p", "p_holm"), pa.float64()),
        pa.field("test_accuracy", pa.float64()),
        *fields(_LEARNT, pa.int64()),
        SANITY,
    ]
)
LAYER_ABLATIONS_SCHEMA = pa.schema(
    [
        *fields((*_WHERE, "question", "choice"), pa.string()),
        *fields(("k", "draws"), pa.int64()),
        pa.field("chosen", pa.list_(pa.string())),
        *fields(("test_accuracy", "test_accuracy_low", "test_accuracy_high"), pa.float64()),
        *fields(("lowest", "highest"), pa.float64()),
        *fields(("loss", "loss_low", "loss_high", "p", "p_holm"), pa.float64()),
        *fields(("over_random", "over_random_low", "over_random_high"), pa.float64()),
        *fields(("test_adapters", "test_units"), pa.int64()),
        SANITY,
    ]
)


@dataclass(frozen=True)
class Answers:
    """What :func:`lorascope.probes.importance.write_importance` wrote.

    Attributes:
        constants: data set, representation, counts: the same in every row of every table.
        rows: one a set of layers that was asked.
        units: of the learners, int64 codes.
        test_units: of the test adapters.
    """

    constants: dict
    rows: list[dict]
    units: np.ndarray
    test_units: np.ndarray

    def of(self, question: str) -> list[dict]:
        """Return the rows of one question, in the order in which they were asked."""
        return [row for row in self.rows if row["question"] == question]

    @property
    def every(self) -> dict:
        """The row of all layers together."""
        return self.of(EVERY)[0]


def read_answers(dataset: str, files: dict[str, str] | None, adapters: Adapters) -> Answers | None:
    """Read the answers of a data set; None where the step has not finished."""
    if files is None or not all(Path(path).exists() for path in files.values()):
        return None
    learners = read_table(files["folds"])
    units = np.unique(learners["unit"].to_numpy(), return_inverse=True)[1]
    constants = {
        "dataset": dataset,
        "representation": read_metadata(files["answers"])["settings"]["representation"],
        "learners": len(units),
        "learner_units": int(units.max()) + 1,
        "folds": len(np.unique(learners["fold"].to_numpy())),
        **test_counts(adapters),
    }
    return Answers(constants, read_table(files["answers"]).to_pylist(), units, adapters.test_units)


def layers_table(answers: Answers | None) -> pa.Table:
    """One row a layer, the best first: a probe that sees nothing else.

    ``accuracy`` is that of answers to learners that were left out, and it alone makes the ranking.
    """
    if answers is None:
        return LAYERS_SCHEMA.empty_table()
    alone = answers.of(LAYER)
    hits, sizes = _by_unit(alone, "right_folds", answers.units)
    ranks = _ranks(hits.sum(axis=1)[None])[0]
    low, high = rank_intervals(hits, sizes)
    rows = [
        {
            "layer": (layer := row["layers"][0]),
            **_place(layer),
            "rank": int(ranks[position]),
            "rank_low": float(low[position]),
            "rank_high": float(high[position]),
            **_accuracy("accuracy", row["right_folds"], answers.units),
            **_accuracy("test_accuracy", row["right_test"], answers.test_units),
            "penalty": row["penalty"],
        }
        for position, row in enumerate(alone)
    ]
    rows.sort(key=lambda row: row["rank"])
    return _table(rows, answers, LAYERS_SCHEMA)


def layer_groups_table(answers: Answers | None) -> pa.Table:
    """One row a block × attention × projection: alone, and what all the others lose without it."""
    if answers is None:
        return LAYER_GROUPS_SCHEMA.empty_table()
    rows = []
    every = answers.every
    without = {_rest(every, row): row for row in answers.of(WITHOUT_GROUP)}
    for row in answers.of(GROUP):
        left = without.get(tuple(row["layers"]))
        rows.append(
            {
                **_place(row["layers"][0]),
                "layers": len(row["layers"]),
                **_accuracy("accuracy", row["right_folds"], answers.units),
                **(_loss(every, left, "right_folds", answers.units) if left else {}),
                "test_accuracy": float(np.mean(row["right_test"])),
            }
        )
    holm_columns(rows, "p")
    return _table(rows, answers, LAYER_GROUPS_SCHEMA)


def layer_ablations_table(answers: Answers | None) -> pa.Table:
    """One row a number of layers that are kept alone, or removed: the best, and as many at random."""
    if answers is None:
        return LAYER_ABLATIONS_SCHEMA.empty_table()
    rows = [_ablation_row([answers.every], [], answers)]
    for question in (KEEP, REMOVE):
        asked = answers.of(question)
        for k in sorted({row["k"] for row in asked}):
            best, random = (
                [row for row in asked if row["k"] == k and (row["choice"] == BEST) is wanted]
                for wanted in (True, False)
            )
            rows += [_ablation_row(best, random, answers), _ablation_row(random, [], answers)]
    holm_columns(rows, "p")
    return _table(rows, answers, LAYER_ABLATIONS_SCHEMA)


def _ablation_row(drawn: list[dict], random: list[dict], answers: Answers) -> dict:
    """A row of one choice; several draws are averaged within each adapter, whom they share."""
    first, every, units = drawn[0], answers.every, answers.test_units
    accuracies = [float(np.mean(row["right_test"])) for row in drawn]
    hits = _hits(drawn, "right_test")
    row = {
        "question": first["question"],
        "choice": first["choice"],
        "k": first["k"],
        "draws": len(drawn),
        "chosen": _named(first, every) if len(drawn) == 1 and first is not every else None,
        **_accuracy("test_accuracy", hits / len(drawn), units),
        "lowest": min(accuracies),
        "highest": max(accuracies),
    }
    if first is not every:
        compared = paired_difference(len(drawn) * _hits([every], "right_test"), hits, len(drawn), units)
        row |= _named_difference("loss", compared) | {"p": compared.p}
    if random:
        compared = paired_difference(len(random) * hits, _hits(random, "right_test"), len(random), units)
        row |= _named_difference("over_random", compared)
    return row


def _named(row: dict, every: dict) -> list[str]:
    """The layers that were kept, or those that were removed."""
    return row["layers"] if row["question"] == KEEP else list(_rest(every, row))


def _rest(every: dict, row: dict) -> tuple[str, ...]:
    return tuple(layer for layer in every["layers"] if layer not in set(row["layers"]))


def _hits(rows: list[dict], column: str) -> np.ndarray:
    return np.sum([row[column] for row in rows], axis=0)


def _loss(every: dict, without: dict, column: str, units: np.ndarray) -> dict:
    compared = paired_difference(_hits([every], column), _hits([without], column), 1, units)
    return _named_difference("loss", compared) | {"p": compared.p}


def _named_difference(name: str, compared: Difference) -> dict:
    low, high, _ = compared.interval
    return {name: compared.difference, f"{name}_low": low, f"{name}_high": high}


def _accuracy(name: str, right, units: np.ndarray) -> dict:
    interval = accuracy_interval(np.bincount(units, right), np.bincount(units))
    return {name: float(np.mean(right)), f"{name}_low": interval.low, f"{name}_high": interval.high}


def _by_unit(rows: list[dict], column: str, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return right answers [rows, units] and the sizes of the units."""
    hits = np.array([np.bincount(units, row[column]) for row in rows])
    return hits, np.bincount(units)


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Rank the columns of each row, the highest first; equal ones share the better rank."""
    return stats.rankdata(-scores, method="min", axis=1)


def rank_intervals(hits: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of each layer's rank: 1 + the layers measurably better, and those not measurably worse.

    As Mogstad, Romano, Shaikh & Wilhelm (2024), each layer against all others at once, the paired intervals
    at Bonferroni's level: at least 95 % for each layer, also where others are as good. (Bootstrapped ranks
    have no such coverage near ties: Xie, Singh & Zhang 2009.)
    """
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(hits) - 1)
    ends = (difference_ends(hits, own, sizes, confidence) for own in hits)
    counts = [(np.count_nonzero(low > 0), np.count_nonzero(high < 0)) for low, high in ends]
    better, worse = np.array(counts).T
    return 1 + better, len(hits) - worse


def _place(layer: str) -> dict:
    return {
        "block": block_of(layer),
        "attention": attention_of(layer) or "",
        "projection": projection_of(layer),
    }


def _table(rows: list[dict], answers: Answers, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{**answers.constants, **row} for row in rows], schema)
