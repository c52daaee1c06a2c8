"""Layer importance on data of which it is known which layer carries the class."""

import numpy as np
import pyarrow as pa
import pytest

from lorascope.errors import LorascopeError
from lorascope.features.feature_file import feature_writer
from lorascope.files import read_table, write_table
from lorascope.probes.closed_form import ridge_scores, targets_of
from lorascope.probes.importance import (
    ImportanceSettings,
    choose_learners,
    group_layers,
    write_importance,
)
from lorascope.probes.layer_blocks import read_layer_blocks

STEM = "{}.attentions.{}.transformer_blocks.0.{}"
LAYERS = [
    STEM.format("down_blocks.0", 0, "attn1.to_q"),
    STEM.format("down_blocks.0", 0, "attn1.to_v"),
    STEM.format("mid_block", 0, "attn2.to_q"),
    STEM.format("up_blocks.1", 0, "attn2.to_v"),
    STEM.format("up_blocks.1", 1, "attn2.to_v"),
]
TELLING = LAYERS[2]
SETTINGS = ImportanceSettings("delta_gram", 4, (1, 2, 9), (1,), 2, 500, (0.01, 1.0, 100.0))


def make_study(folder, adapters=120, classes=3, telling=(TELLING,), groups=None, scale=1.0, seed=0):
    """Write features, of which only some layers know the class, and the label table."""
    rng = np.random.default_rng(seed)
    own = np.arange(adapters) % classes
    columns, values = [], []
    for layer in LAYERS:
        block = rng.normal(size=(7, adapters))
        if layer in telling:
            block[:classes] += 4 * np.eye(classes)[:, own]
        columns += [f"{layer}.delta/feature_{i}" for i in range(7)]
        values.append(scale * block)
    path = folder / "features.parquet"
    with feature_writer(path, columns, {"representation": "delta_gram"}) as write:
        write(np.ascontiguousarray(np.concatenate(values), np.float32))
    parts = np.array(["train"] * 7 + ["validation"] + ["test"] * 2)[np.arange(adapters) // classes % 10]
    table = {"adapter": [f"a{i}" for i in range(adapters)], "label": own.astype(str), "split": parts}
    if groups:
        table["group"] = [f"g{i % groups}" for i in range(adapters)]
    write_table(folder / "adapters.parquet", pa.table(table))
    return str(path), str(folder / "adapters.parquet")


def ask(folder, settings=SETTINGS, layers=LAYERS, **about):
    features, adapters = make_study(folder, **about)
    lines = list(write_importance([features], adapters, layers, settings, folder, {}))
    return read_table(folder / "answers.parquet").to_pylist(), read_table(folder / "folds.parquet"), lines


def of(answers, question):
    return [row for row in answers if row["question"] == question]


def test_the_layer_that_carries_the_class_is_found(tmp_path):
    answers, _, lines = ask(tmp_path)
    alone = {row["layers"][0]: np.mean(row["right_folds"]) for row in of(answers, "layer")}
    assert alone.pop(TELLING) > 0.95
    assert max(alone.values()) < 0.6
    assert np.mean(of(answers, "all")[0]["right_test"]) > 0.9
    assert lines[0].startswith("all: 1 set of")


def test_without_it_nothing_is_left_and_alone_it_is_enough(tmp_path):
    answers, *_ = ask(tmp_path)
    keep, remove = (of(answers, name) for name in ("keep", "remove"))
    (best,) = [row for row in keep if row["choice"] == "best"]
    assert best["layers"] == [TELLING]
    assert np.mean(best["right_test"]) > 0.9
    for row in (row for row in remove if row["choice"] == "best"):
        assert TELLING not in row["layers"]
        assert np.mean(row["right_test"]) < 0.65
    # Nine of five layers cannot be removed; each number has its random choices.
    assert [(row["choice"], row["k"], len(row["layers"])) for row in remove] == [
        *[("best", 1, 4), ("random", 1, 4), ("random", 1, 4)],
        *[("best", 2, 3), ("random", 2, 3), ("random", 2, 3)],
    ]


def test_groups_are_alone_and_left_out(tmp_path):
    answers, *_ = ask(tmp_path)
    assert [row["layers"] for row in of(answers, "group")] == [
        *([layer] for layer in LAYERS[:3]),
        LAYERS[3:],
    ]
    assert [len(row["layers"]) for row in of(answers, "without group")] == [4, 4, 4, 3]
    assert list(group_layers(LAYERS).values()) == [[0], [1], [2], [3, 4]]


def test_the_test_part_has_no_say(tmp_path):
    first, *_ = ask(tmp_path)
    features, adapters = str(tmp_path / "features.parquet"), tmp_path / "adapters.parquet"
    table = read_table(adapters).to_pandas()
    test = table["split"] == "test"
    # Only labels move: the classes of the test part are reversed.
    table.loc[test, "label"] = table.loc[test, "label"].to_numpy()[::-1]
    write_table(adapters, pa.Table.from_pandas(table, preserve_index=False))
    list(write_importance([features], str(adapters), LAYERS, SETTINGS, tmp_path, {}))
    second = read_table(tmp_path / "answers.parquet").to_pylist()
    for before, after in zip(first, second, strict=True):
        assert {**before, "right_test": None} == {**after, "right_test": None}


def test_a_unit_of_measure_changes_no_answer(tmp_path):
    (tmp_path / "b").mkdir()
    small, *_ = ask(tmp_path)
    large, *_ = ask(tmp_path / "b", scale=2.0**10)
    assert small == large


def test_kernel_and_features_give_the_same_answers(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    by_features, *_ = ask(tmp_path)
    monkeypatch.setattr("lorascope.probes.layer_blocks.LayerBlocks.width", lambda *_: 10**6)
    by_kernel, *_ = ask(tmp_path / "b")
    assert by_features == by_kernel


def test_groups_stay_whole_in_the_folds(tmp_path):
    _, folds, _ = ask(tmp_path, groups=11)
    folds = folds.to_pandas()
    assert (folds.groupby("unit")["fold"].nunique() == 1).all()
    assert folds["fold"].nunique() == 4


def test_classes_are_spread_over_the_folds(tmp_path):
    make_study(tmp_path)
    table = read_table(tmp_path / "adapters.parquet")
    learners = choose_learners(table, SETTINGS)
    counts = np.zeros((4, 3), int)
    np.add.at(counts, (learners.folds, learners.classes[: learners.n_learners]), 1)
    assert counts.max() - counts.min() <= 1


def test_at_most_so_many_learn(tmp_path):
    answers, folds, _ = ask(tmp_path, settings=ImportanceSettings("delta_gram", 4, (), (), 1, 30, (1.0,)))
    assert folds.num_rows == 30
    assert {len(row["right_test"]) for row in answers} == {24}


def test_too_few_to_leave_any_out_are_asked_what_they_taught(tmp_path):
    features, adapters = make_study(tmp_path, adapters=6)
    table = read_table(adapters).drop_columns("split").append_column("split", pa.array(["all"] * 6))
    write_table(adapters, table)
    list(write_importance([features], adapters, LAYERS, SETTINGS, tmp_path, {}))
    row = read_table(tmp_path / "answers.parquet").to_pylist()[0]
    assert row["right_folds"] == row["right_test"]


def test_no_learner_is_asked_about_what_it_taught(tmp_path):
    """Features know nothing, and are nearly as many as learners: who is asked what it taught knows it."""
    answers, *_ = ask(tmp_path, adapters=60, telling=())
    every = of(answers, "all")[0]
    assert np.mean(every["right_folds"]) < 0.55
    for row in of(answers, "layer") + of(answers, "group") + of(answers, "without group"):
        assert np.mean(row["right_folds"]) < 0.65


def test_answers_in_the_folds_are_those_of_a_probe_without_the_fold(tmp_path):
    features, adapters = make_study(tmp_path, groups=17)
    settings = ImportanceSettings("delta_gram", 4, (), (), 1, 500, (1.0,))
    list(write_importance([features], adapters, LAYERS, settings, tmp_path, {}))
    answers = of(read_table(tmp_path / "answers.parquet").to_pylist(), "layer")
    learners = choose_learners(read_table(adapters), settings)
    asked = np.arange(len(learners.rows)) < learners.n_learners
    blocks = read_layer_blocks([features], LAYERS, learners.rows, asked, keep_proportions=True)
    classes = learners.classes[asked]
    targets = targets_of(classes, 3)
    for place, row in enumerate(answers):
        x = blocks.side_by_side([place])[asked]
        right = np.zeros(len(x), bool)
        for fold in range(4):
            out = learners.folds == fold
            scores, _ = ridge_scores(x[~out], targets[~out], x[out], (1.0,))
            right[out] = scores.argmax(axis=1) == classes[out]
        assert row["right_folds"] == right.tolist()


def test_a_class_with_one_learner_takes_no_folds_from_the_others(tmp_path):
    make_study(tmp_path)
    table = read_table(tmp_path / "adapters.parquet").to_pandas()
    table.loc[0, "label"] = "alone"
    learners = choose_learners(pa.Table.from_pandas(table, preserve_index=False), SETTINGS)
    assert len(np.unique(learners.folds)) == 4
    # Two groups make two folds, and one cannot be left out.
    for groups, folds in ((2, 2), (1, 1)):
        table["group"] = [f"g{row % groups}" for row in range(len(table))]
        learners = choose_learners(pa.Table.from_pandas(table, preserve_index=False), SETTINGS)
        assert len(np.unique(learners.folds)) == folds


def test_a_layer_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LorascopeError, match=r"no features of layer nowhere\.attn1\.to_q; extract"):
        ask(tmp_path, layers=[*LAYERS, "nowhere.attn1.to_q"])


def test_a_feature_that_is_not_finite_is_named(tmp_path):
    with pytest.raises(LorascopeError, match=r"features of layer .* are not finite"):
        ask(tmp_path, scale=np.inf)
