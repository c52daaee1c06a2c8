"""The leaderboard: every number on it stands in results.json, and it says what it cannot show."""

import re

import pytest

from lorascope.cli import main
from lorascope.files import read_json
from lorascope.report.leaderboard import write_leaderboard
from lorascope.stats.aggregate import aggregate
from synthetic_study import make_study

CELLS = {
    ("all", "stats"): 0.4,
    ("all", "spectral"): 0.6,
    ("visual", "stats"): 0.3,
    ("visual", "spectral"): 0.5,
}


@pytest.fixture
def study(tmp_path):
    made = make_study(tmp_path / "in", CELLS)
    aggregate(made, tmp_path / "study" / "summary")
    return tmp_path / "study" / "summary"


def test_rows_are_the_studys_cells_the_best_first(study):
    page = write_leaderboard([study], study / "page.md").read_text()
    results = read_json(study / "results.json")
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| \d", line)]
    assert [row[1] for row in rows] == ["spectral", "stats"]
    for row in rows:
        for layer_set, shown in (("all", row[3]), ("visual", row[4])):
            (cell,) = (
                cell
                for cell in results["cells"]
                if (cell["representation"], cell["layer_set"]) == (row[1], layer_set)
            )
            mean, std, low, high = (float(x) for x in re.findall(r"\d+\.\d", shown))
            assert mean == pytest.approx(100 * cell["test_accuracy_mean"], abs=0.051)
            assert std == pytest.approx(100 * cell["test_accuracy_std"], abs=0.051)
            assert low == pytest.approx(100 * cell["test_accuracy_adapters_low"], abs=0.051)
            assert high == pytest.approx(100 * cell["test_accuracy_adapters_high"], abs=0.051)
    assert page.count("**") == 4  # the legend's word, and one cell
    assert f"chance {100 * results['chance']:.1f} %" in page


def test_a_cell_that_failed_is_named(tmp_path):
    absent = {("visual", "stats"): "ValueError: no\n"}
    aggregate(make_study(tmp_path / "in", CELLS, absent=absent), tmp_path / "study" / "summary")
    page = write_leaderboard([tmp_path / "study/summary"], tmp_path / "page.md").read_text()
    assert re.search(r"\| stats \| mlp \| \d.* \| failed \|", page)
    assert "3 of 4 done, 1 failed" in page


def test_controls_come_last_without_a_place(tmp_path):
    made = make_study(tmp_path / "in", CELLS)
    made["cells"] = [{**cell, "probe": "permuted"} for cell in made["cells"] if cell["layer_set"] == "all"]
    aggregate(made, tmp_path / "study" / "summary")
    page = write_leaderboard([tmp_path / "study/summary"], tmp_path / "page.md").read_text()
    assert len(re.findall(r"^\|  \| \w+ \| permuted", page, flags=re.MULTILINE)) == 2


def test_one_study_twice_or_none_is_refused(study, tmp_path, capsys, refused):
    with refused("default/synthetic is there twice"):
        write_leaderboard([study, study], tmp_path / "page.md")
    assert main(["leaderboard", str(tmp_path / "nowhere"), "--out", str(tmp_path / "page.md")]) == 2
    assert "no study" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
