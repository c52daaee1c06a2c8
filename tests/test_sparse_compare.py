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
from lorascope.sparse.measures import TARGET_MARGIN, at_equal_time, differences, measures, time_to_target
from lorascope.sparse.runs import read_runs
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
    assert (sundew["validation_accuracy_low"], sundew["validation_accuracy_high"]) == pytest.approx(
        (low, high)
    )
    for gate, name, other in (
        ("sundew", "epochs_vs_dense", "dense"),
        ("loss_topk", "epochs_vs_dense", "dense"),
    ):
        own = record(comparison, gate)
        assert own[f"{name}_mean"] == pytest.approx(np.mean(finals[gate]) - np.mean(finals[other]))
        assert own[f"{name}_p"] == pytest.approx(stats.ttest_rel(finals[gate], finals[other]).pvalue)
        assert own[f"{name}_p_holm"] >= own[f"{name}_p"]


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
