import numpy as np
import pytest
from scipy import stats

from lorascope.files import read_json
from lorascope.stats.aggregate import aggregate
from lorascope.stats.intervals import score_interval
from lorascope.stats.paired import holm, paired_difference
from lorascope.stats.studies import INDEPENDENT, PAIRED, compare_studies, read_answers, square_and_add
from synthetic_study import make_study

ACCURACIES = {("all", "stats"): 0.5, ("visual", "stats"): 0.3, ("all", "spectral"): 0.4}
BETTER = {("all", "stats"): 0.8, ("visual", "stats"): 0.3, ("all", "frequency"): 0.4}


def summary(folder, accuracies, **arguments):
    aggregate(make_study(folder / "in", accuracies, **arguments), folder / "out")
    return folder / "out"


def compared(first, second):
    cells = [read_json(folder / "results.json")["cells"] for folder in (first, second)]
    records = compare_studies(*cells, first, second)
    return {(record["layer_set"], record["representation"]): record for record in records}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("studies")
    first = summary(home / "a", ACCURACIES, seeds=2, absent={("visual", "stats"): "OSError: no\n"})
    return first, summary(home / "b", BETTER, seeds=3)


def test_the_same_adapters_are_compared_in_pairs(folders):
    record = compared(*folders)["all", "stats"]
    first, second = (read_answers(folder)["all", "stats", "mlp"] for folder in folders)
    expected = paired_difference(second.hits * 2, first.hits * 3, 6, np.arange(60))
    assert record["method"] == PAIRED
    assert record["difference"] == pytest.approx(record["second"] - record["first"])
    assert (record["difference_low"], record["p"]) == (expected.interval.low, expected.p)
    assert record["p_holm"] == holm([record["p"]])[0] < 0.01


def test_what_one_study_lacks_is_listed(folders):
    records = compared(*folders)
    statuses = {key: (record["first_status"], record["second_status"]) for key, record in records.items()}
    assert statuses == {
        ("all", "stats"): ("done", "done"),
        ("visual", "stats"): ("failed", "done"),
        ("all", "spectral"): ("done", "absent"),
        ("all", "frequency"): ("absent", "done"),
    }
    assert "difference" not in records["visual", "stats"]


def test_a_study_does_not_differ_from_itself(folders):
    records = compared(folders[0], folders[0]).values()
    finished = [record for record in records if "difference" in record]
    assert [record["difference"] for record in finished] == [0, 0]
    assert all(record["p"] == 1 for record in finished)


def test_other_adapters_make_independent_samples(folders, tmp_path):
    other = summary(tmp_path, BETTER, adapters=400, seeds=1)
    record = compared(folders[0], other)["all", "stats"]
    assert record["method"] == INDEPENDENT
    assert "p" not in record
    assert record["difference_low"] < record["difference"] < record["difference_high"]


def test_square_and_add_is_newcombes_interval():
    """Newcombe (1998), table II, contrast (a): 56/70 − 48/80, method 10: [0.0524, 0.3339]."""
    sides = {"second": (56, 70), "first": (48, 80)}
    record = {name: hits / count for name, (hits, count) in sides.items()}
    for name, (hits, count) in sides.items():
        interval = score_interval(hits / count, count, stats.norm.ppf(0.975), "wilson")
        record |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    interval = square_and_add(record)
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
