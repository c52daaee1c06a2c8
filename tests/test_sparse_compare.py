"""Comparison of gates: measures against counts by hand, intervals and tests against scipy."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from lorascope.cli import main
from lorascope.errors import LorascopeError
from lorascope.files import read_json, read_table
from lorascope.sparse.compare import compare_runs
from lorascope.sparse.measures import (
    DIFFERENCES,
    SAVED,
    SHARES,
    TARGET_MARGIN,
    at_equal_time,
    differences,
    measures,
    time_to_target,
)
from lorascope.sparse.runs import read_runs
from lorascope.sparse.verdict import headline
from lorascope.stats.intervals import seeds_difference_interval, seeds_ratio_interval
from sparse_runs import BACKWARD, FORWARD, GATES, SAMPLES, write_run, write_study


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def comparison(folders):
    return compare_runs(*read_runs(folders))


def record(comparison, gate):
    return next(own for own in comparison["gates"] if own["gate"] == gate)


def one(folder, gate, accuracies, **facts):
    return read_runs([write_run(folder / gate, gate, 1, accuracies, **facts)])[0][0]


def test_energy_and_flops_are_counted_by_hand(tmp_path):
    run = one(tmp_path, "loss_topk", [0.5, 0.6], rate=0.1, scoring=True)
    found = measures(run, None)
    assert found["energy_saved"] == pytest.approx(1 - (100 * 10 + 900 * 0.1) / (1000 * 10))
    spent = 100 * (FORWARD + BACKWARD) + SAMPLES * FORWARD
    assert found["flops_saved"] == pytest.approx(1 - spent / (SAMPLES * (FORWARD + BACKWARD)))
    assert found["flops"] == 2 * spent
    assert found["seconds_saved"] is None
    assert found["reach_seconds"] is None


def test_time_to_target_is_interpolated_between_epochs(tmp_path):
    dense = one(tmp_path, "dense", [0.5, 0.9], seconds=10)
    run = one(tmp_path, "uniform", [0.4, 0.8, 0.96], seconds=2)
    target = 0.9 - TARGET_MARGIN
    assert time_to_target(run, dense) == pytest.approx(4 + 2 * (target - 0.8) / 0.16)
    assert time_to_target(run, dense, "cpu_seconds") == pytest.approx(2 + (target - 0.8) / 0.16)
    assert measures(run, dense)["reach_share_seconds"] == pytest.approx(time_to_target(run, dense) / 20)
    # Dense itself is there a little before its end.
    assert 0.98 < measures(dense, dense)["reach_share_seconds"] < 1


def test_a_target_that_is_touched_once_counts_and_one_that_is_missed_does_not(tmp_path):
    dense = one(tmp_path, "dense", [0.5, 0.9])
    assert time_to_target(one(tmp_path, "uniform", [0.9, 0.2]), dense) is not None
    assert time_to_target(one(tmp_path, "sundew", [0.7, 0.89]), dense) is None
    # Guessing is the start of every curve: a target below chance is reached at once.
    assert time_to_target(dense, one(tmp_path, "loss_topk", [0.05, 0.05])) == 0


def test_equal_time_ends_with_the_run_that_ends_first(tmp_path):
    slow = one(tmp_path, "dense", [0.5, 0.7, 0.9], seconds=10)
    fast = one(tmp_path, "uniform", [0.4, 0.6], seconds=7.5)
    # After 15 s the slow run is half way from 0.5 to 0.7.
    assert at_equal_time(fast, slow) == pytest.approx(0.6 - 0.6)
    assert at_equal_time(slow, fast) == pytest.approx(0.0)
    brief = one(tmp_path, "sundew", [0.3], seconds=5)
    # After 5 s it is half way from chance (10 classes) to 0.5.
    assert at_equal_time(brief, slow) == pytest.approx(0.3 - 0.3)
    found = differences(fast, slow, None)
    assert found["epochs_vs_dense"] == pytest.approx(-0.3)
    assert found["test_vs_dense"] == pytest.approx(-0.3)
    assert found["time_vs_uniform"] is None


def test_means_intervals_and_tests_are_scipys(comparison):
    finals = {
        gate: [0.9 + 0.01 * s + less + 0.002 * s * (gate != "dense") for s in range(3)]
        for gate, (less, _, _) in GATES.items()
    }
    sundew = record(comparison, "sundew")
    mean, values = sundew["validation_accuracy_mean"], np.array(finals["sundew"])
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert mean == pytest.approx(values.mean())
    # The score interval: Student's, bent a little away from the near bound.
    assert (sundew["validation_accuracy_low"], sundew["validation_accuracy_high"]) == pytest.approx(
        (low, high), abs=2e-3
    )
    for gate, name, other in (
        ("sundew", "epochs_vs_dense", "dense"),
        ("loss_topk", "epochs_vs_dense", "dense"),
    ):
        own = record(comparison, gate)
        assert own[f"{name}_mean"] == pytest.approx(np.mean(finals[gate]) - np.mean(finals[other]))
        assert own[f"{name}_p"] == pytest.approx(stats.ttest_rel(finals[gate], finals[other]).pvalue)
        assert own[f"{name}_p_holm"] >= own[f"{name}_p"]


BOUNDS = dict.fromkeys(SHARES, (0, 1)) | dict.fromkeys(SAVED, (-np.inf, 1))
BOUNDS |= dict.fromkeys(DIFFERENCES, (-1, 1))


def test_no_interval_leaves_the_bounds_of_what_it_is_of(tmp_path):
    """Two seeds that differ widely: Student's t would reach far beyond all of them."""
    folders = [
        write_run(tmp_path / f"{gate}{seed}", gate, seed, [0.5, end - 0.1 * seed], seconds=seconds[seed])
        for gate, end, seconds in (("dense", 1.0, (4, 4)), ("uniform", 0.99, (1, 9)), ("sundew", 0.6, (3, 1)))
        for seed in (0, 1)
    ]
    for own in compare_runs(*read_runs(folders))["gates"]:
        for name in [column.removesuffix("_count") for column in own if column.endswith("_count")]:
            mean, low, high = (own[f"{name}_{end}"] for end in ("mean", "low", "high"))
            if low is not None:
                least, most = BOUNDS.get(name, (0, np.inf))
                assert least <= low <= mean + 1e-12
                assert mean - 1e-12 <= high <= most


def test_savings_and_times_are_ratios(comparison):
    rows = [row for row in comparison["runs"] if row["gate"] == "sundew"]
    own = record(comparison, "sundew")
    for name in ("seconds_saved", "flops_saved"):
        used = 1 - np.array([row[name] for row in rows])
        assert own[f"{name}_mean"] == pytest.approx(1 - stats.gmean(used))
        low, high, _ = seeds_ratio_interval(used)
        assert (own[f"{name}_low"], own[f"{name}_high"]) == pytest.approx((1 - high, 1 - low))
    seconds = np.array([row["seconds"] for row in rows])
    assert own["seconds_mean"] == pytest.approx(stats.gmean(seconds))


def test_the_best_gate_pays_for_having_been_chosen(tmp_path):
    """Three gates reach dense's accuracy, two of them with every seed; all that were compared count."""
    ends = {
        "uniform": (0.95, 0.6),
        "sundew": (0.96, 0.99),
        "loss_topk": (0.92, 0.94),
        "infobatch": (0.5, 0.5),
    }
    folders = [write_run(tmp_path / f"dense{seed}", "dense", seed, [0.5, 0.9]) for seed in (0, 1)]
    folders += [
        write_run(tmp_path / f"{gate}{seed}", gate, seed, [0.5, end])
        for gate, own in ends.items()
        for seed, end in enumerate(own)
    ]
    comparison = compare_runs(*read_runs(folders))
    best = comparison["best"]
    assert (best["gate"], best["chosen_among"]) == ("sundew", 4)
    rows = [row for row in comparison["runs"] if row["gate"] == "sundew"]
    level = 1 - 0.05 / 4
    low, high, _ = seeds_ratio_interval(np.array([row["reach_share_seconds"] for row in rows]), level)
    assert (best["reach_share_seconds_low"], best["reach_share_seconds_high"]) == (low, high)
    low, high, _ = seeds_difference_interval(
        np.array([row["epochs_vs_dense"] for row in rows]), SAMPLES, level
    )
    assert (best["epochs_vs_dense_low"], best["epochs_vs_dense_high"]) == (low, high)
    words = headline(comparison)
    assert f"{best['reach_share_seconds_mean']:.2f} [" in words
    assert "for the best of 4 gates" in words


def test_one_seed_is_said_to_have_no_interval(tmp_path):
    folders = [write_run(tmp_path / gate, gate, 0, [0.5, 0.9]) for gate in ("dense", "uniform")]
    assert "(one seed: no interval)" in headline(compare_runs(*read_runs(folders)))


def test_a_gate_is_held_against_the_uniform_of_its_rate(comparison):
    assert record(comparison, "sundew")["uniform"] == "uniform"
    assert record(comparison, "sundew")["epochs_vs_uniform_mean"] == pytest.approx(0.1)
    for reference in ("dense", "uniform"):
        assert record(comparison, reference)["uniform"] is None
        assert record(comparison, reference)["epochs_vs_uniform_mean"] is None
    # Of equal differences no test can say how surprising they are.
    assert record(comparison, "sundew")["epochs_vs_uniform_p"] is None or np.ptp([0.1] * 3) == 0


def test_the_nearest_uniform_is_chosen_among_several(tmp_path):
    rates = {"uniform": 0.1, "uniform@0.5": 0.5, "infobatch": 0.65, "sundew": 0.12}
    runs = [one(tmp_path, gate, [0.5], rate=rate) for gate, rate in rates.items()]
    found = {own["gate"]: own["uniform"] for own in compare_runs(runs, [])["gates"]}
    assert found == {"uniform": None, "uniform@0.5": None, "infobatch": "uniform@0.5", "sundew": "uniform"}


def test_a_seed_that_never_arrives_leaves_no_mean(tmp_path):
    runs = [
        write_run(tmp_path / f"{gate}{seed}", gate, seed, [0.5, end])
        for gate, ends in (("dense", (0.9, 0.9)), ("uniform", (0.95, 0.6)))
        for seed, end in enumerate(ends)
    ]
    own = record(compare_runs(*read_runs(runs)), "uniform")
    assert own["reach_share_seconds_mean"] is None
    assert own["reach_share_seconds_count"] == 1
    assert own["epochs_vs_dense_mean"] == pytest.approx(-0.125)


def test_missing_runs_are_named_and_others_compared(folders, tmp_path):
    comparison = compare_runs(*read_runs([*folders[1:], tmp_path / "sundew" / "seed-9"]))
    assert [problem["run"] for problem in comparison["problems"]] == [str(tmp_path / "sundew" / "seed-9")]
    assert "no such file" in comparison["problems"][0]["reason"]
    # Seed 0 of dense is not there: the others are paired, and no mean hides that one is not.
    assert record(comparison, "dense")["runs"] == 2
    assert record(comparison, "sundew")["epochs_vs_dense_count"] == 2


def test_runs_that_cannot_be_compared_are_refused(tmp_path):
    first = write_run(tmp_path / "a", "dense", 1, [0.5])
    with pytest.raises(LorascopeError, match="other batch than gate dense"):
        read_runs([first, write_run(tmp_path / "b", "uniform", 1, [0.5], batch=7)])
    with pytest.raises(LorascopeError, match="gate dense, seed 1: two runs"):
        read_runs([first, write_run(tmp_path / "c", "dense", 1, [0.5])])
    with pytest.raises(LorascopeError, match="no finished run"):
        read_runs([tmp_path / "nothing"])


def test_the_command_writes_the_same_numbers_three_times(folders, tmp_path):
    assert main(["sparse-compare", "--runs", *map(str, folders), "--key", "k", "--out", str(tmp_path)]) == 0
    found = read_json(tmp_path / "comparison.json")
    table = read_table(tmp_path / "comparison.parquet").to_pylist()
    assert found["gates"] == table
    assert found["provenance"]["key"] == "k"
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["gate"] for row in rows] == list(GATES)
    assert float(rows[2]["energy_saved_mean"]) == pytest.approx(table[2]["energy_saved_mean"])
    assert json.dumps(found["runs"])
    assert len(found["runs"]) == len(folders)
