"""Which layers hold the label: a closed-form probe a layer, and what is left without, or of, the best ones.

Layers are ranked by answers to adapters of training and validation part that the probe has not seen
(cross-validation); the test part is only asked once the ranking stands.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.adapters.names import attention_of, block_of, projection_of
from lorascope.data.split import ALL, TEST
from lorascope.features.registry import is_scaled_by_layer
from lorascope.files import read_table, write_table
from lorascope.probes.closed_form import kernel_ridge_scores, ridge_scores, targets_of
from lorascope.probes.layer_blocks import LayerBlocks, read_layer_blocks
from lorascope.wording import plural

SEED = 42
# What is asked of a set of layers, and how the layers were chosen.
EVERY, LAYER, GROUP, WITHOUT_GROUP = "all", "layer", "group", "without group"
KEEP, REMOVE = "keep", "remove"
BEST, RANDOM = "best", "random"
ANSWERS_SCHEMA = pa.schema(
    [
        ("question", pa.string()),
        ("choice", pa.string()),
        ("k", pa.int64()),
        ("layers", pa.list_(pa.string())),
        ("penalty", pa.float64()),
        ("right_folds", pa.list_(pa.bool_())),
        ("right_test", pa.list_(pa.bool_())),
    ]
)


@dataclass(frozen=True)
class ImportanceSettings:
    """See ``importance`` in the config schema."""

    representation: str
    folds: int
    remove: Sequence[int]
    keep: Sequence[int]
    controls: int
    adapters: int
    penalties: Sequence[float]


@dataclass(frozen=True)
class Learners:
    """Who is learnt from, and who is asked.

    Attributes:
        rows: adapters of training and validation part (at most ``adapters`` of them), then of the test part.
        n_learners: how many of ``rows`` are learnt from.
        classes: class codes of ``rows``.
        units: of the learners: adapters of one unit belong together.
        folds: of the learners: the fold in which an adapter is left out.
    """

    rows: np.ndarray
    n_learners: int
    classes: np.ndarray
    units: np.ndarray
    folds: np.ndarray


def write_importance(
    features: Sequence[str],
    adapters: str,
    layers: Sequence[str],
    settings: ImportanceSettings,
    out_dir: str | Path,
    provenance: dict,
) -> Iterator[str]:
    """Ask every layer and write the answers, from which statistics are made.

    Args:
        features: feature files of ``settings.representation``.
        adapters: label and split table.
        layers: the layers to rank.
        out_dir: gets answers.parquet (a row a question: right or wrong, adapter by adapter) and
            folds.parquet (a row a learner: adapter, unit, fold).
        provenance: stored in both.

    Yields:
        One line for the log a kind of question.

    Raises:
        LorascopeError: the files do not belong together, or a feature is not finite.
    """
    table = read_table(adapters)
    learners = choose_learners(table, settings)
    asked = np.arange(len(learners.rows)) < learners.n_learners
    keep_proportions = is_scaled_by_layer(settings.representation)
    blocks = read_layer_blocks(features, layers, learners.rows, asked, keep_proportions)
    probe = _Probe(blocks, learners, settings.penalties)
    answers = []
    for question, rows in groupby(_answers(probe, settings), key=lambda row: row["question"]):
        answers += (of_question := list(rows))
        right = np.mean([np.mean(row["right_test"]) for row in of_question])
        yield f"{question}: {plural(len(of_question), 'set')} of layers, test accuracy {right:.3f} on average"
    write_table(Path(out_dir) / "answers.parquet", pa.Table.from_pylist(answers, ANSWERS_SCHEMA), provenance)
    chosen = table["adapter"].take(pa.array(learners.rows[: learners.n_learners]))
    folds = pa.table({"adapter": chosen, "unit": learners.units, "fold": learners.folds})
    write_table(Path(out_dir) / "folds.parquet", folds, provenance)


def choose_learners(table: pa.Table, settings: ImportanceSettings) -> Learners:
    """Draw at most ``settings.adapters`` learners and assign them to folds, by class and with units whole."""
    split = np.array(table["split"].to_pylist())
    classes = np.unique(table["label"].to_pylist(), return_inverse=True)[1]
    grouped = "group" in table.column_names
    names = table["group" if grouped else "adapter"].to_pylist()
    units = np.unique(names, return_inverse=True)[1]
    rng = np.random.default_rng(SEED)
    chosen = np.flatnonzero(split != TEST)
    if len(chosen) > settings.adapters:
        chosen = np.sort(rng.choice(chosen, settings.adapters, replace=False))
    test = np.flatnonzero((split == TEST) | (split == ALL))
    # Too few adapters to leave any out: they are asked about what they taught, as everywhere in such a study.
    whole_set = bool((split == ALL).any())
    one_fold = np.zeros(len(chosen), int)
    folds = one_fold if whole_set else _folds(classes[chosen], units[chosen], settings.folds)
    rows = np.concatenate([chosen, test])
    return Learners(rows, len(chosen), classes[rows], units[chosen], folds)


def _folds(classes: np.ndarray, units: np.ndarray, most: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    # A class with fewer learners than folds is in so many of them; it takes nothing from the others.
    count = min(most, int(np.bincount(classes).max()), len(np.unique(units)))
    if count < 2:
        return np.zeros(len(classes), int)
    folds = np.zeros(len(classes), int)
    with warnings.catch_warnings():
        # A class with a single learner is named wrongly when that is left out.
        warnings.filterwarnings("ignore", "The least populated class")
        splits = StratifiedGroupKFold(count, shuffle=True, random_state=SEED).split(classes, classes, units)
        for fold, (_, left_out) in enumerate(splits):
            folds[left_out] = fold
    return folds


def group_layers(layers: Sequence[str]) -> dict[tuple[str, str, str], list[int]]:
    """Return (block, attention, projection) → positions of its layers, in order of first appearance."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for position, layer in enumerate(layers):
        place = block_of(layer), attention_of(layer) or "", projection_of(layer)
        groups.setdefault(place, []).append(position)
    return groups


def _answers(probe: "_Probe", settings: ImportanceSettings) -> Iterator[dict]:
    """Ask about all layers, each alone, each group alone and left out, then the best and random ones."""
    every = list(range(len(probe.blocks.layers)))
    yield probe.ask(EVERY, "", every, folds=True)
    alone = [probe.ask(LAYER, "", [position], folds=True) for position in every]
    yield from alone
    groups = list(group_layers(probe.blocks.layers).values())
    for members in groups:
        yield probe.ask(GROUP, "", members, folds=True)
    for members in groups:
        if rest := _without(every, members):
            yield probe.ask(WITHOUT_GROUP, "", rest, folds=True)
    ranked = np.argsort([-np.mean(answer["right_folds"]) for answer in alone], kind="stable")
    rng = np.random.default_rng(SEED)
    for question, counts in ((KEEP, settings.keep), (REMOVE, settings.remove)):
        for k in sorted(count for count in set(counts) if count < len(every)):
            draws = [(BEST, ranked[:k])]
            draws += [(RANDOM, rng.choice(every, k, replace=False)) for _ in range(settings.controls)]
            for choice, drawn in draws:
                chosen = sorted(drawn.tolist()) if question == KEEP else _without(every, drawn)
                yield probe.ask(question, choice, chosen, k=k)


def _without(every: list[int], some: Sequence[int]) -> list[int]:
    return [position for position in every if position not in set(some)]


Predictor = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]]


class _Probe:
    """Closed-form ridge on any set of layers."""

    def __init__(self, blocks: LayerBlocks, learners: Learners, penalties: Sequence[float]):
        self.blocks, self.learners, self.penalties = blocks, learners, penalties
        self._every = blocks.kernel(range(len(blocks.layers)))
        self._targets = targets_of(learners.classes, int(learners.classes.max()) + 1)

    def ask(
        self, question: str, choice: str, chosen: list[int], k: int | None = None, folds: bool = False
    ) -> dict:
        """Return the answers of a probe that sees the chosen layers, as a row of the table."""
        n = self.learners.n_learners
        learners, test = np.arange(n), np.arange(n, len(self.learners.rows))
        predict = self._predictor(chosen)
        scores, penalty = predict(learners, test)
        return {
            "question": question,
            "choice": choice,
            "k": k,
            "layers": [self.blocks.layers[position] for position in chosen],
            "penalty": penalty,
            "right_folds": self._right_in_folds(predict) if folds else None,
            "right_test": self._right(scores, test).tolist(),
        }

    def _right_in_folds(self, predict: Predictor) -> list[bool]:
        right, folds = np.zeros(self.learners.n_learners, bool), self.learners.folds
        for fold in np.unique(folds):
            left_out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            scores, _ = predict(rest if len(rest) else left_out, left_out)
            right[left_out] = self._right(scores, left_out)
        return right.tolist()

    def _right(self, scores: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return scores.argmax(axis=1) == self.learners.classes[asked]

    def _predictor(self, chosen: list[int]) -> Predictor:
        """Return learners, asked → scores, penalty; from features or from inner products, the fewer."""
        targets, penalties = self._targets, self.penalties
        if self.blocks.width(chosen) < self.learners.n_learners:
            x = self.blocks.side_by_side(chosen)
            return lambda own, asked: ridge_scores(x[own], targets[own], x[asked], penalties)
        kernel = self._kernel(chosen)
        return lambda own, asked: kernel_ridge_scores(
            kernel[np.ix_(own, own)], targets[own], kernel[np.ix_(asked, own)], penalties
        )

    def _kernel(self, chosen: list[int]) -> np.ndarray:
        """Add up the layers, or take the others away from all: whichever are fewer."""
        every = len(self.blocks.layers)
        rest = _without(list(range(every)), chosen)
        if not rest:
            return self._every
        if len(chosen) <= len(rest):
            return self.blocks.kernel(chosen)
        return (every * self._every - len(rest) * self.blocks.kernel(rest)) / len(chosen)
