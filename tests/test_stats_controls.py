"""Controls in the tables and in words: those that pass, fail, are vacuous, or are not there."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from lorascope.files import read_json, read_metadata, read_table, write_json, write_table
from lorascope.report.cautions import cautions, controls_line, passport_facts, passport_line, random_line
from lorascope.report.control_rows import control_rows
from lorascope.report.numbers import drift
from lorascope.report.summary import load_summary
from lorascope.stats.aggregate import aggregate
from lorascope.stats.controls import above_p, one_more_p, rank_p
from lorascope.stats.paired import holm
from synthetic_study import make_study

ACCURACIES = {
    (layer_set, name): share
    for layer_set, shares in (("all", (0.3, 0.7)), ("visual", (0.3, 0.5)))
    for name, share in zip(("stats", "delta_gram"), shares, strict=True)
}


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path / "in", ACCURACIES, seeds=2, adapters=300)


def summarised(study, tmp_path):
    aggregate(study, tmp_path / "out")
    return load_summary(tmp_path / "out")


def rewrite(study, change):
    """Change every row of the answers; a row that becomes None is left out."""
    path = study["controls"]
    table, metadata = read_table(path), read_metadata(path)
    rng = np.random.default_rng(1)
    rows = [change(row, rng) for row in table.to_pylist()]
    write_table(path, pa.Table.from_pylist([row for row in rows if row], table.schema), metadata)


def scoring(control, share, **of):
    """Return a change that gives a control another accuracy."""

    def change(row, rng):
        if row["control"] == control and all(row[name] == value for name, value in of.items()):
            return row | {"correct": (rng.random(len(row["correct"])) < share).tolist()}
        return row

    return change


def status(summary, control, layer_set=""):
    rows = summary.results["controls"]
    return {row["status"] for row in rows if (row["control"], row["layer_set"]) == (control, layer_set)}


def test_controls_pass_where_the_study_knows_more(study, tmp_path):
    summary = summarised(study, tmp_path)
    assert status(summary, "majority") == status(summary, "norms", "all") == {"passed"}
    assert status(summary, "permuted", "all") == status(summary, "permuted", "visual") == {"passed"}
    assert status(summary, "recipe") == {"vacuous"}
    assert cautions(summary) == []
    assert "the recipe only vacuous" in controls_line(summary)
    assert "none of" in controls_line(summary)
    norms, on_visual = (
        row
        for layer_set in ("all", "visual")
        for row in summary.results["controls"]
        if (row["control"], row["layer_set"]) == ("norms", layer_set)
    )
    assert on_visual["best_layer_set"] == "visual"
    visual = summary.cell(("delta_gram", "mlp"), "visual")
    assert on_visual["best_accuracy"] == pytest.approx(visual["test_accuracy_mean"])
    best = summary.best
    assert norms["best_representation"] == best["representation"] == "delta_gram"
    assert norms["best_accuracy"] == pytest.approx(best["test_accuracy_mean"])
    assert norms["difference"] == pytest.approx(norms["best_accuracy"] - norms["accuracy"])


def test_norms_as_good_as_the_best_cell_are_a_failed_control(study, tmp_path):
    rewrite(study, scoring("norms", 0.7, layer_set="all"))
    summary = summarised(study, tmp_path)
    assert status(summary, "norms", "all") == {"failed"}
    assert status(summary, "norms", "visual") == {"passed"}
    (words,) = cautions(summary)
    assert words.startswith("Control failed: norms only scores")
    assert "1 of" in controls_line(summary)


def test_permuted_labels_above_chance_are_a_failed_control(study, tmp_path):
    rewrite(study, scoring("permuted", 0.2, representation="stats", layer_set="all"))
    summary = summarised(study, tmp_path)
    assert "something leaks" in cautions(summary)[0]
    failed = [row for row in summary.results["controls"] if row["status"] == "failed"]
    assert [(row["control"], row["representation"], row["layer_set"]) for row in failed] == [
        ("permuted", "stats", "all")
    ]
    assert failed[0]["p_holm"] < 0.001


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, "as random"), (0.95, "more than random"), (0.05, "less than random")]
)
def test_a_drop_is_judged_by_random_layers(study, tmp_path, share, expected):
    rewrite(study, scoring("random_layers", share, representation="delta_gram"))
    # Of 20 random sets none can be far enough out: of 40 one can.
    path, more = study["controls"], []
    table = read_table(path)
    for row in table.to_pylist():
        more += [row, row | {"draw": row["draw"] + 20}] if row["control"] == "random_layers" else [row]
    write_table(path, pa.Table.from_pylist(more, table.schema), read_metadata(path))
    summary = summarised(study, tmp_path)
    rows = summary.results["random_layers"]
    (row,) = [row for row in rows if row["representation"] == "delta_gram"]
    assert (row["status"], row["layer_set"], row["draws"]) == (expected, "visual", 40)
    assert row["random_low"] <= row["random_accuracy"] <= row["random_high"]
    assert row["drop"] == pytest.approx(row["reference_accuracy"] - row["accuracy"])
    assert row["difference"] == pytest.approx(row["drop"] - row["random_drop"])
    assert "Random layers (ridge, delta_gram)" in random_line(summary)


def test_random_layers_are_corrected_for_their_number(study, tmp_path):
    rewrite(study, scoring("random_layers", 0.45, representation="delta_gram"))
    rows = summarised(study, tmp_path).results["random_layers"]
    assert [row["p_holm"] for row in rows] == pytest.approx(holm([row["p"] for row in rows]))
    for row in rows:
        assert (row["status"] == "as random") == (row["p_holm"] >= 0.05)


def test_a_rank_counts_the_layer_set_itself():
    """Of 39 random sets and the layer set any is the lowest in one case of 40, and the highest in another."""
    drawn = np.arange(39.0)
    assert rank_p(drawn, -1.0) == rank_p(drawn, 39.0) == pytest.approx(2 / 40)
    assert rank_p(drawn, 0.5) == pytest.approx(2 * 2 / 40)
    assert rank_p(drawn, 19.0) == 1
    assert rank_p(np.full(39, 0.5), 0.5) == 1


def test_one_more_draw_is_students():
    drawn = np.random.default_rng(0).normal(0.5, 0.1, 20)
    expected = 2 * stats.t.sf((0.8 - drawn.mean()) / (drawn.std(ddof=1) * np.sqrt(1 + 1 / 20)), 19)
    assert one_more_p(drawn, 0.8, 1000) == pytest.approx(expected)
    assert one_more_p(drawn, 2 * drawn.mean() - 0.8, 1000) == pytest.approx(expected)
    # Draws that agree may differ by less than an answer.
    assert one_more_p(np.full(20, 0.5), 0.5, 10) == 1
    assert 0 < one_more_p(np.full(20, 0.5), 0.6, 10) < 0.05


def test_unequal_classes_are_no_leak():
    """The commonest class of training has few test adapters: chance is 0.1; who knows nothing scores 0.3."""
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], [2, 9, 9])
    named = rng.integers(0, 3, (40, 20))
    assert above_p(named == truth, truth) > 0.05
    named[:, 5:8] = truth[5:8]
    assert above_p(named == truth, truth) < 0.001


def test_controls_that_failed_to_run_are_named(study, tmp_path):
    study["controls"].unlink()
    study["control_log"].write_text("stats: done\nlorascope control: error: no memory\n")
    summary = summarised(study, tmp_path)
    rows = summary.results["controls"]
    assert {row["status"] for row in rows} == {"missing"}
    assert {row["control"] for row in rows} == {"majority", "permuted", "norms", "recipe"}
    assert "no memory" in controls_line(summary)
    assert summary.results["random_layers"] == control_rows(summary) == []


def test_a_study_without_controls_has_a_page_without_them(tmp_path):
    study = make_study(tmp_path / "in", ACCURACIES, seeds=1, adapters=100, controls=False)
    summary = summarised(study, tmp_path)
    assert summary.results["passport"] is None
    assert passport_line(summary) == controls_line(summary) == random_line(summary) == ""
    assert cautions(summary) == []


@pytest.mark.parametrize(
    ("section", "change", "words"),
    [
        ("starts", {"regime": "shared"}, "All adapters started from the same A"),
        ("starts", {"regime": "mixed"}, "Adapters come from several starts"),
        ("duplicates", {"sets": 2, "test_adapters": 3}, "3 test adapters equal to one that was trained on"),
        ("health", {"dead_adapters": 1}, "1 adapter without any update"),
    ],
)
def test_what_the_passport_changes_is_said_first(study, tmp_path, section, change, words):
    passport = read_json(study["passport"])
    passport[section] |= change
    write_json(study["passport"], passport)
    summary = summarised(study, tmp_path)
    assert any(caution.startswith(words) for caution in cautions(summary))
    assert read_json(tmp_path / "out" / "passport.json") == passport


@pytest.mark.parametrize(
    ("kind", "words"), [("images", "the scores are too high"), ("concepts", "set it as `group`")]
)
def test_overlaps_are_said_first(study, tmp_path, kind, words):
    passport = read_json(study["passport"])
    passport["overlaps"][0] |= {"kind": kind, "in_train_and_test": 4, "test_adapters": 7}
    write_json(study["passport"], passport)
    summary = summarised(study, tmp_path)
    assert words in cautions(summary)[0]
    assert "4 of 900 in both train and test" in passport_line(summary)


def test_the_tidy_passport_holds_every_fact(study, tmp_path):
    summarised(study, tmp_path)
    rows = read_table(tmp_path / "out" / "passport.parquet").to_pylist()
    facts = {
        (row["section"], row["fact"]): row["value"] if row["text"] is None else row["text"] for row in rows
    }
    assert facts["starts", "regime"] == "fresh"
    assert facts["starts", "cosine"] == 0.06
    assert facts["classes", "train/airplane"] == 21
    assert facts["metadata", "unused/seed"] == "an id"


def test_rows_of_the_chart_and_facts_of_the_page(study, tmp_path):
    summary = summarised(study, tmp_path)
    rows = control_rows(summary)
    assert [row["row"] for row in rows[:2]] == ["best cell", "best cell"]
    assert {row["of"] for row in rows} == {"all", "visual", "no layers"}
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    assert dict(passport_facts(summary))["start"].startswith("fresh (every adapter")


@pytest.mark.parametrize(
    ("value", "words"), [(None, "–"), (0.0, "0"), (3.4e-4, "0.0003"), (0.31, "0.31"), (1144.0, "1,144")]
)
def test_drifts_are_short(value, words):
    assert drift(value) == words
