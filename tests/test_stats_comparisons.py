import numpy as np
import pytest
from scipy import stats

from lorascope.files import read_table
from lorascope.stats.aggregate import aggregate
from lorascope.stats.paired import cohen_dz, cohen_h, holm, paired_difference, paired_drop
from synthetic_study import make_study

ACCURACIES = {
    ("all", "spectral"): 0.7,
    ("all", "stats"): 0.4,
    ("all", "frequency"): 0.4,
    ("visual", "spectral"): 0.3,
    ("visual", "stats"): 0.3,
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    home = tmp_path_factory.mktemp("study")
    absent = {("visual", "stats"): ""}
    aggregate(make_study(home / "in", ACCURACIES, seeds=2, absent=absent), home / "out")
    return home / "out"


def test_every_pair_of_a_layer_set_is_compared_once(out):
    rows = read_table(out / "comparisons.parquet").to_pylist()
    assert [row["layer_set"] for row in rows] == ["all"] * 3
    assert {frozenset((row["representation"], row["other"])) for row in rows} == {
        frozenset(pair) for pair in (("spectral", "stats"), ("spectral", "frequency"), ("stats", "frequency"))
    }
    assert all(row["difference"] == pytest.approx(row["accuracy"] - row["other_accuracy"]) for row in rows)
    assert all(row["difference"] >= 0 for row in rows)


def test_holm_is_over_the_pairs_of_the_layer_set(out):
    rows = read_table(out / "comparisons.parquet").to_pylist()
    assert [row["p_holm"] for row in rows] == pytest.approx(holm([row["p"] for row in rows]))
    best = next(row for row in rows if {row["representation"], row["other"]} == {"spectral", "stats"})
    assert best["p_holm"] < 0.01
    assert best["difference_low"] > 0


def test_answers_sum_to_the_accuracies(out):
    answers = read_table(out / "answers.parquet").to_pandas()
    cells = read_table(out / "cells.parquet").to_pandas().dropna(subset=["test_accuracy_mean"])
    assert answers["adapter"].nunique() == 60
    for _, cell in cells.iterrows():
        own = answers[(answers.layer_set == cell.layer_set) & (answers.representation == cell.representation)]
        assert own.hits.sum() / own.seeds.sum() == pytest.approx(cell.test_accuracy_mean, abs=1e-6)


def test_difference_and_drop_agree():
    rng = np.random.default_rng(0)
    first, second = rng.binomial(3, 0.6, 80), rng.binomial(3, 0.4, 80)
    drop = paired_drop(first, second, 3, np.arange(80))
    difference = paired_difference(first, second, 3, np.arange(80))
    assert (difference.accuracy, difference.other_accuracy) == (drop.reference_accuracy, drop.accuracy)
    assert (difference.p, difference.h, difference.dz) == (drop.p, drop.h, drop.dz)
    assert difference.interval.low == pytest.approx(drop.absolute_interval.low, abs=0.02)
    assert difference.interval.high == pytest.approx(drop.absolute_interval.high, abs=0.02)


def test_effect_sizes():
    assert cohen_h(0.5, 0.5) == 0
    assert cohen_h(1.0, 0.0) == pytest.approx(np.pi)
    assert cohen_h(0.2, 0.4) == -cohen_h(0.4, 0.2)
    surplus, answers = np.array([1.0, 0.0, 2.0, -1.0]), np.full(4, 2)
    # d_z is the paired t statistic over the root of the number of pairs.
    assert cohen_dz(surplus, answers) == pytest.approx(stats.ttest_1samp(surplus / 2, 0).statistic / 2)
    assert cohen_dz(np.zeros(4), answers) is None
    assert cohen_dz(np.ones(1), np.ones(1)) is None
