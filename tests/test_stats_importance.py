"""Tables of layer importance from answers that are written by hand."""

import numpy as np
import pytest
from scipy import stats

from lorascope.files import read_json, read_table
from lorascope.stats.aggregate import aggregate
from lorascope.stats.importance import rank_intervals
from ranked_layers import FAIR, GOOD, LEARNERS, POOR, TESTED, analyses, placed
from synthetic_study import make_study


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder, {("all", "stats"): 0.5}, seeds=1) | {"analyses": analyses(folder)}
    aggregate(study, folder / "out")
    return folder / "out"


def rows(summary, table):
    return read_table(summary / f"{table}.parquet").to_pylist()


def test_layers_are_ranked_by_left_out_answers(summary):
    layers = rows(summary, "layers")
    assert [(row["layer"], row["rank"]) for row in layers] == [(GOOD, 1), (FAIR, 2), (POOR, 3)]
    assert [row["accuracy"] for row in layers] == [0.8, 0.5, 0.1]
    assert all(row["accuracy_low"] < row["accuracy"] < row["accuracy_high"] for row in layers)
    assert layers[0] | {"block": "mid_block", "attention": "attn2", "projection": "to_v"} == layers[0]
    # So far apart that no resample changes a place.
    assert all(row["rank_low"] == row["rank"] == row["rank_high"] for row in layers)
    assert layers[0]["learners"] == layers[0]["learner_units"] == LEARNERS
    assert layers[0]["test_adapters"] == TESTED
    assert layers[0]["folds"] == 5


def test_ranks_of_equal_layers_are_shared_and_open():
    rng = np.random.default_rng(0)
    hits = (rng.random((3, 200)) < [[0.5], [0.5], [0.9]]).astype(int)
    low, high = rank_intervals(hits, np.ones(200, int))
    assert (low[2], high[2]) == (1, 1)
    assert (low[:2] == 2).all()
    assert (high[:2] == 3).all()


def test_places_allow_for_all_other_layers_at_once():
    """A difference that two layers alone would show is no longer measurable among forty."""
    good = np.arange(200) < 100
    fair = np.arange(200) < 94
    both = np.stack([good, fair]).astype(float)
    assert rank_intervals(both, np.ones(200))[0].tolist() == [1, 2]
    many = np.stack([good, *[fair] * 39]).astype(float)
    low, high = rank_intervals(many, np.ones(200))
    assert set(low) == {1}
    assert set(high) == {40}


def test_a_group_is_worth_what_the_others_lose_without_it(summary):
    groups = {row["block"]: row for row in rows(summary, "layer_groups")}
    assert groups["mid_block"]["loss"] == pytest.approx(0.3)
    assert groups["mid_block"]["loss_low"] > 0
    assert groups["down_blocks.0"]["loss"] == groups["up_blocks.1"]["loss"] == 0
    # 72 answers are lost and none is gained: McNemar's exact test.
    assert groups["mid_block"]["p"] == pytest.approx(stats.binomtest(0, 72).pvalue)
    assert groups["mid_block"]["p_holm"] == pytest.approx(3 * groups["mid_block"]["p"])
    assert groups["up_blocks.1"]["layers"] == 1


def test_ablations_name_what_was_kept_or_removed(summary):
    table = {(row["question"], row["choice"]): row for row in rows(summary, "layer_ablations")}
    assert set(table) == {
        ("all", ""),
        *((question, choice) for question in ("keep", "remove") for choice in ("best", "random")),
    }
    assert table["keep", "best"]["chosen"] == table["remove", "best"]["chosen"] == [GOOD]
    random = table["keep", "random"]
    assert (random["draws"], random["chosen"]) == (2, None)
    assert (random["lowest"], random["highest"]) == pytest.approx((0.1, 0.3))
    assert random["test_accuracy"] == pytest.approx(0.2)
    assert table["keep", "best"]["over_random"] == pytest.approx(0.6)
    assert table["remove", "best"]["loss"] == pytest.approx(0.4)
    assert table["remove", "best"]["over_random"] == pytest.approx(-0.4)
    assert table["all", ""]["loss"] is None


def test_results_hold_the_tables_and_the_status(summary):
    results = read_json(summary / "results.json")
    assert results["analyses"] == {"importance": {"status": "done", "reason": ""}}
    assert [row["layer"] for row in results["layers"]] == [GOOD, FAIR, POOR]
    assert results["adapter_map"] == []


def test_larger_units_make_wider_intervals(tmp_path):
    study = make_study(tmp_path, {("all", "stats"): 0.5}, seeds=1)
    widths = []
    for name, size in (("small", 1), ("large", 12)):
        (tmp_path / name).mkdir()
        aggregate(study | {"analyses": analyses(tmp_path / name, size)}, tmp_path / "out")
        fair = rows(tmp_path / "out", "layers")[1]
        assert fair["learner_units"] == LEARNERS // size
        widths.append(fair["accuracy_high"] - fair["accuracy_low"])
    assert widths[1] > 2 * widths[0]


def test_a_failed_ranking_is_told_with_its_reason(tmp_path):
    beside = analyses(tmp_path)
    (tmp_path / "answers.parquet").unlink()
    (tmp_path / "importance.log").write_text("lorascope importance: error: no features of layer x\n")
    study = make_study(tmp_path, {("all", "stats"): 0.5}, seeds=1) | {"analyses": beside}
    results = read_json(aggregate(study, tmp_path / "out"))
    assert results["analyses"]["importance"]["status"] == "failed"
    assert "no features of layer x" in results["analyses"]["importance"]["reason"]
    assert results["layers"] == []


def test_the_map_carries_its_shares_of_variance(tmp_path):
    study = make_study(tmp_path, {("all", "stats"): 0.5}, seeds=1) | {"analyses": placed(tmp_path)}
    results = read_json(aggregate(study, tmp_path / "out"))
    assert results["adapter_map"][1] == {
        "dataset": "synthetic",
        "adapter": "b",
        "class": "bird",
        "part": "test",
        "x": -0.5,
        "y": 1.0,
        "x_variance": 0.4,
        "y_variance": 0.2,
        "sanity": False,
    }
