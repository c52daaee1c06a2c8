"""What finished studies found, told from their folders alone."""

import json

import pytest

from lorascope.cli import main
from lorascope.report.text import verdict
from lorascope.stats.aggregate import aggregate
from lorascope.study.named import study_folders
from lorascope.study.show import study_answer, study_record
from synthetic_study import default_accuracies, make_study


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder with two studies: one with tables alone, one with a page."""
    home = tmp_path_factory.mktemp("home")
    study = make_study(home / "in", default_accuracies(("stats", "spectral")), seeds=2)
    for name in ("default", "wide"):
        aggregate(study, home / "results/studies" / name / "mine/summary")
    page = home / "results/studies/wide/mine/report/index.html"
    page.parent.mkdir()
    page.write_text("<html></html>")
    (home / "results/studies/empty").mkdir()
    return home / "results"


def test_a_study_ends_with_its_page_or_else_its_tables(results):
    default, _, wide = study_folders(results)
    told = verdict(default / "mine/summary").splitlines()
    assert study_answer(default) == [*told, f"Tables: {default / 'mine/summary'}"]
    assert study_answer(wide) == [*told, f"Page: {wide / 'mine/report/index.html'}"]


def test_one_study_by_its_name(results):
    assert study_folders(results, "wide") == [results / "studies/wide"]


def test_an_unknown_name_is_refused(results, refused):
    with refused("no study 'wied' in .*studies; did you mean 'wide'"):
        study_folders(results, "wied")
    with refused("no study 'another'.*there are: default, empty, wide"):
        study_folders(results, "another")


def test_records_are_plain_json(results):
    record = study_record(results / "studies/wide")
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    (mine,) = record["datasets"]
    best = mine["best"]
    assert (
        best["test_accuracy_adapters_low"] < best["test_accuracy_mean"] < best["test_accuracy_adapters_high"]
    )
    assert best["test_adapters"] == 60
    assert mine["drop"]["layer_set"] == "visual"
    assert mine["page"].endswith("wide/mine/report/index.html")
    assert study_record(results / "studies/default")["datasets"][0]["page"] is None


def test_several_studies_are_headed_by_their_names(results, capsys):
    assert main(["show", "--results", str(results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if line.startswith("Study ")]
    assert heads == ["Study default", "Study empty", "Study wide"]
    after = lines[lines.index("Study empty") + 1]
    assert after == "Nothing is finished yet; `lorascope progress` tells more."
    assert main(["show", "wide", "--json", "--results", str(results)]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["study"] == "wide"
