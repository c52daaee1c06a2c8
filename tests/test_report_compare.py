import json

import pytest

from lorascope.cli import main
from lorascope.report.compare import (
    HIGHER,
    LOWER,
    SAME,
    answer,
    compare,
    comparison_text,
    kind,
    write_comparison,
)
from lorascope.stats.aggregate import aggregate
from synthetic_study import make_study

ACCURACIES = {("all", "stats"): 0.3, ("visual", "stats"): 0.3}


def write_study(home, accuracies, settings, **arguments):
    study = make_study(home / "in", accuracies, **arguments) | {"settings": settings}
    aggregate(study, home / "summary")
    return home / "summary"


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    home = tmp_path_factory.mktemp("compare")
    first = write_study(home / "a", ACCURACIES, {"mlp": {"seeds": 2, "rate": 0.1}, "old": True}, seeds=2)
    better = {("all", "stats"): 0.9, ("visual", "stats"): 0.3}
    settings = {"mlp": {"seeds": 1, "rate": 0.1}, "sets": ["all", "visual"]}
    return first, write_study(home / "b", better, settings, seeds=1)


@pytest.fixture(scope="module")
def comparison(studies):
    return compare(*studies)


def test_only_what_differs_is_listed(comparison):
    assert comparison.changes["settings"] == [
        ("mlp.seeds", "2", "1"),
        ("old", "True", "–"),
        ("sets", "–", "all, visual"),
    ]
    assert comparison.changes["data"] == comparison.changes["versions"] == []


def test_the_answer_counts_what_is_measurable(comparison, studies):
    assert answer(comparison) == "B is measurably higher in 1 of 2 common cells."
    assert answer(compare(*reversed(studies))) == "B is measurably lower in 1 of 2 common cells."
    assert answer(compare(studies[0], studies[0])) == "None of 2 common cells differs measurably."


def test_kinds_follow_the_numbers():
    paired = {"method": "paired", "difference": 0.1, "difference_low": 0.05, "difference_high": 0.2}
    assert kind(paired | {"p_holm": 0.01}) == HIGHER
    assert kind(paired | {"p_holm": 0.2}) == SAME
    assert kind(paired | {"p_holm": 0.01, "difference": -0.1}) == LOWER
    apart = {"method": "independent", "difference": 0.1, "difference_low": -0.05, "difference_high": 0.2}
    assert kind(apart) == SAME
    assert kind(apart | {"difference_low": 0.01}) == HIGHER
    assert kind({"first_status": "failed", "second_status": "done"}) == "A failed, B done"


def test_text_names_both_and_every_cell(comparison):
    lines = comparison_text(comparison).splitlines()
    assert lines[0].startswith("A: ")
    assert "settings: 3 differences" in lines
    assert "data: 0 differences" in lines
    assert sum("stats × " in line for line in lines) == 2


def test_the_page_carries_chart_and_numbers(comparison, tmp_path):
    text = write_comparison(comparison, tmp_path).read_text()
    data = json.loads(text.split('id="chart-data">')[1].split("</script>")[0])
    assert data["compared"]["study"] == ["A", "B", "A", "B"]
    assert data["compared"]["value"][0] == pytest.approx(100 * comparison.cells[0]["first"], abs=1e-3)
    assert answer(comparison) in text
    assert "Both were tested on the same adapters" in text


def test_two_data_sets_can_be_compared(studies, tmp_path):
    other = write_study(tmp_path / "c", ACCURACIES, {}, adapters=600, seeds=1)
    comparison = compare(studies[0], other)
    assert ("adapters", "300", "600") in comparison.changes["data"]
    assert not comparison.paired
    assert "not tested on the same adapters" in write_comparison(comparison, tmp_path).read_text()


def test_nothing_in_common_is_said(studies, tmp_path):
    other = write_study(tmp_path / "c", {("text", "spectral"): 0.5}, {}, seeds=1)
    comparison = compare(studies[0], other)
    assert answer(comparison) == "The two have no finished cell in common."
    assert "chart-data" not in write_comparison(comparison, tmp_path).read_text()


def test_the_command_prints_and_writes(studies, tmp_path, capsys):
    first, second = map(str, studies)
    assert main(["compare", first, second]) == 0
    assert "B is measurably higher in 1 of 2 common cells." in capsys.readouterr().out
    assert main(["compare", first, second, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Page: {tmp_path / 'index.html'}"
    assert main(["compare", first, str(tmp_path)]) == 2
    assert "no results of a study here (no results.json)" in capsys.readouterr().err
