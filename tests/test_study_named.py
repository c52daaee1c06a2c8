"""Named studies: which there are, what a name or a path means, and what is pruned."""

import json
import os
from pathlib import Path

import pytest

from lorascope.cli import main
from lorascope.files import read_json, write_json
from lorascope.stats.aggregate import aggregate
from lorascope.study.intermediates import intermediates, name_of
from lorascope.study.named import find_summary, parts
from lorascope.study.prune import remove, unneeded
from lorascope.study.record import needed, record_files
from synthetic_study import make_study

A, B, C, D = "aaaaaaaaaa", "bbbbbbbbbb", "0123456789", "dddddddddd"
CELLS = {("all", "stats"): 0.4, ("visual", "stats"): 0.3}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish(study, dataset="zoo", accuracies=CELLS, key=A, **arguments):
    """Write the tables of a study, with a page that is there."""
    home = Path("results/studies", study, dataset)
    made = make_study(Path("in", study, dataset), accuracies, seeds=1, adapters=200, **arguments)
    made |= {"dataset": dataset, "settings": {**made["settings"], "study": study}, "keys": {"study": key}}
    aggregate(made, home / "summary")
    (home / "report").mkdir()
    (home / "report/index.html").write_text("page")
    return home


def make(*names, size=1):
    """Make intermediates as a run does."""
    for name in names:
        path = Path("results", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_bytes(b"x" * size)
        else:
            path.mkdir()
            (path / "file").write_bytes(b"x" * size)


def record(study, *outputs, key=A):
    paths = [f"results/{output}" for output in outputs]
    record_files(f"results/studies/{study}", "results", paths, lambda part: key)


def names_of(found):
    return {one.path.relative_to("results").as_posix() for one in found if one.kind != "logs"}


# what people mean


def test_a_name_a_data_set_and_every_folder_of_a_study_are_understood():
    home = finish("wide")
    places = ("wide", "wide/zoo", home, home / "summary", home / "summary/results.json", home / "report")
    for place in (*places, home.parent, home.absolute()):
        assert find_summary(place).resolve() == (home / "summary").resolve()
    assert find_summary("wide", Path("results").absolute()) == (home / "summary").absolute()


def test_a_name_comes_before_a_folder_that_is_called_so():
    home = finish("wide")
    other = make_study(Path("in/other"), CELLS, seeds=1, adapters=200)
    aggregate(other, Path("wide/summary"))
    assert find_summary("wide") == home / "summary"
    assert find_summary("./wide") == Path("wide/summary")


def test_what_is_no_study_is_refused_with_what_there_is(refused):
    with refused("no study here: nothing lies in .*/results/studies; go to the folder of a study"):
        find_summary("wide")
    finish("wide")
    record("half", f"zoo/data/{A}/layers.parquet")
    with refused(r"no study 'wyde' in results/studies; did you mean 'wide'\?"):
        find_summary("wyde")
    with refused("no study 'other' in results/studies; there are: half/zoo, wide/zoo"):
        find_summary("other")
    with refused("study 'half' has no results yet"):
        find_summary("half")
    record("gates", f"sparse/digits/images/{A}/manifest.json")
    with refused("study 'gates' compares gates and has no data set; see results/studies/gates/sparse/digits"):
        find_summary("gates")
    with refused("in: no results of a study here"):
        find_summary("in")
    finish("wide", "sanity")
    with refused("study 'wide' has 2 data sets; name one: wide/sanity, wide/zoo"):
        find_summary("wide")
    with refused("results/studies/wide: 2 data sets; give one, such as results/studies/wide/sanity"):
        find_summary("results/studies/wide")
    assert find_summary("wide/sanity") == Path("results/studies/wide/sanity/summary")


def test_a_data_set_that_is_not_finished_does_not_hide_the_one_that_is():
    home = finish("wide")
    record("wide", f"sanity/data/{A}/layers.parquet")
    assert find_summary("wide") == home / "summary"


# the commands


def test_studies_are_listed(capsys):
    assert main(["studies"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("lorascope studies: error: no study here: nothing lies in ")
    assert told.err.count("\n") == 1
    page = (
        finish("wide", absent={("visual", "stats"): "lorascope train: error: broken"}) / "report/index.html"
    )
    record("half", f"zoo/data/{A}/layers.parquet")
    assert main(["studies"]) == 0
    half, wide, path = capsys.readouterr().out.splitlines()
    assert half == "half/zoo: no results yet"
    assert wide.startswith("wide/zoo: Cells: 1 of 2 done, 1 failed. Best cell: stats × all (mlp): ")
    assert path.endswith(f" {page}")
    assert main(["studies", "--json"]) == 0
    half, wide = json.loads(capsys.readouterr().out)
    unfinished = {"answer": "no results yet", "page": None, "when": None, "cells": None, "best": None}
    assert half == {"study": "half", "part": "zoo", **unfinished}
    assert wide["cells"] == {"done": 1, "failed": 1}
    low, mean, high = (
        wide["best"][f"test_accuracy_{name}"] for name in ("adapters_low", "mean", "adapters_high")
    )
    assert low < mean < high
    assert wide["page"] == str(page)
    page.parents[1].joinpath("summary/results.json").write_text("{")
    assert main(["studies"]) == 0
    half, wide, _ = capsys.readouterr().out.splitlines()
    assert half == "half/zoo: no results yet"
    assert wide.startswith("wide/zoo: unreadable: results/studies/wide/zoo/summary/results.json: ")


def test_compare_and_leaderboard_go_by_name(capsys):
    finish("one")
    finish("two", accuracies={("all", "stats"): 0.9, ("visual", "stats"): 0.3})
    assert main(["compare", "one", "two/zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["A: one", "B: two/zoo"]
    assert "B is measurably higher in 1 of 2 common cells." in lines
    assert main(["compare", "one", "tow"]) == 2
    assert "did you mean 'two'?" in capsys.readouterr().err
    assert main(["leaderboard", "one", "two", "--out", "board.md"]) == 0
    assert [line for line in Path("board.md").read_text().splitlines() if line.startswith("## ")] == [
        "## one/zoo", "## two/zoo"
    ]  # fmt: skip
    Path("results").rename("moved")
    assert main(["compare", "one", "two", "--results", "moved"]) == 0


# what a study is made of


FILES = {
    f"zoo/base/{A}/base.safetensors": f"zoo/base/{A}",
    f"zoo/data/{A}/weights": f"zoo/data/{A}",
    f"zoo/download/{A}.json": f"zoo/download/{A}",
    f"sparse/hub/download/{A}.json": f"sparse/hub/download/{A}",
    f"zoo/fits/pca/{A}/attn1.safetensors": f"zoo/fits/pca/{A}",
    f"zoo/probes/stats/all.mlp/{A}/seeds-42-46.runs.parquet": f"zoo/probes/stats/all.mlp/{A}",
    f"zoo/scaling/stats/all.ridge/{A}.parquet": f"zoo/scaling/stats/all.ridge/{A}",
    f"sparse/digits/images/{A}/manifest.json": f"sparse/digits/images/{A}",
    f"sparse/digits/runs/uniform@0.5/{A}/seed-42/run.json": f"sparse/digits/runs/uniform@0.5/{A}",
}


def test_every_file_with_a_key_belongs_to_an_intermediate():
    assert {path: name_of(Path(path)) for path in FILES} == FILES
    for path in (
        "zoo",
        "sparse",
        f"zoo/{A}",
        f"zoo/data/x{A}/weights",
        f"studies/data/{A}",
        f"zoo/mine/{A}/x",
    ):
        assert name_of(Path(path)) is None
    make(*FILES.values(), f"zoo/mine/{A}", f"studies/data/{A}")
    assert {name for name, _ in intermediates(Path("results"))} == set(FILES.values())


def test_a_record_holds_what_is_there_and_what_is_to_come():
    record("default", *FILES, "studies/default/zoo/summary/results.json")
    assert needed("results") == set(FILES.values())
    owners = {"zoo", "sparse/digits", "sparse/hub"}
    assert {str(part) for part in parts("results")} == {f"default/{owner}" for owner in owners}


def test_one_target_after_another_of_the_same_settings_add_up():
    record("default", f"zoo/data/{A}/layers.parquet")
    record("default", f"zoo/data/{B}/layers.parquet")
    assert needed("results") == {f"zoo/data/{A}", f"zoo/data/{B}"}


def test_other_settings_let_go_of_the_old_ones_when_the_page_is_theirs():
    record("default", f"zoo/data/{A}/layers.parquet", key=A)
    home = finish("default", key=A)
    record("default", f"zoo/data/{B}/layers.parquet", key=B)
    record("default", f"zoo/data/{C}/layers.parquet", key=C)
    assert needed("results") == {f"zoo/data/{A}", f"zoo/data/{C}"}
    assert set(read_json(home / "files.json")["made_of"]) == {A, C}
    results = json.loads((home / "summary/results.json").read_text())
    results.pop("file_digest", None)
    write_json(home / "summary/results.json", {**results, "keys": {"study": C}}, signed=False)
    assert needed("results") == {f"zoo/data/{C}"}


def test_damaged_results_let_go_of_nothing(refused):
    record("default", f"zoo/data/{A}/layers.parquet", key=A)
    home = finish("default", key=A)
    record("default", f"zoo/data/{B}/layers.parquet", key=B)
    (home / "summary/results.json").write_text("{")
    assert needed("results") == {f"zoo/data/{A}", f"zoo/data/{B}"}
    record("default", f"zoo/data/{C}/layers.parquet", key=C)
    assert needed("results") == {f"zoo/data/{key}" for key in (A, B, C)}
    (home / "files.json").write_text("{")
    with refused("files.json"):
        needed("results")


# prune


@pytest.fixture
def filled():
    """Intermediates under three keys: of one study, of another one that shares some, of nobody."""
    make(
        f"zoo/data/{A}",
        f"zoo/probes/stats/all.mlp/{A}",
        f"zoo/fits/pca/{B}",
        f"zoo/scaling/stats/all.mlp/{B}.parquet",
    )
    make(f"zoo/data/{C}", f"zoo/probes/stats/all.mlp/{C}", f"sparse/digits/runs/dense/{C}", size=1000)
    make(f"zoo/features/stats/{C}", f"zoo/scaling/stats/all.mlp/{C}.parquet", size=5000)
    record("one", f"zoo/data/{A}/layers.parquet", f"zoo/probes/stats/all.mlp/{A}/x")
    record(
        "two",
        f"zoo/data/{A}/layers.parquet",
        f"zoo/fits/pca/{B}/x",
        f"zoo/scaling/stats/all.mlp/{B}.parquet",
        key=B,
    )
    return {
        f"zoo/data/{C}", f"zoo/probes/stats/all.mlp/{C}", f"zoo/features/stats/{C}",
        f"zoo/scaling/stats/all.mlp/{C}.parquet", f"sparse/digits/runs/dense/{C}",
    }  # fmt: skip


def everything():
    return {path.as_posix() for path in Path().rglob("*") if path.is_file()}


def test_what_no_study_refers_to_is_listed_the_largest_first(filled):
    found = unneeded("results")
    assert names_of(found) == filled
    assert [one.size for one in found] == [5000, 5000, 1000, 1000, 1000]
    assert {one.kind for one in found} == {"data", "probes", "features", "scaling", "runs"}


def test_only_yes_removes_and_nothing_else_goes(filled, capsys):
    make("zoo/mine/notes.txt", f"mine/{C}/notes.txt")
    before = everything()
    assert main(["prune"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("5 files and folders, 13.0 kB: not needed")
    assert everything() == before
    assert main(["prune", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["removed"], told["bytes"]) == (True, 13000)
    gone = {path for path in before if any(path.startswith(f"results/{name}") for name in filled)}
    assert before - everything() == gone
    assert not Path("results/sparse").exists(), "empty folders go too"
    assert main(["prune"]) == 0
    assert capsys.readouterr().out == "nothing to remove: every file is needed by a study\n"


def test_a_study_that_its_user_removed_frees_what_it_alone_needed(filled):
    for path in sorted(Path("results/studies/two").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert names_of(unneeded("results")) - filled == {
        f"zoo/fits/pca/{B}", f"zoo/scaling/stats/all.mlp/{B}.parquet"
    }  # fmt: skip


def test_a_study_that_does_not_say_what_it_is_made_of_stops_everything(filled, capsys):
    finish("third")
    before = everything()
    assert main(["prune", "--yes"]) == 2
    told = capsys.readouterr()
    assert "study third/zoo does not say what it is made of" in told.err
    assert told.err.count("\n") == 1
    assert before <= everything()


def test_links_are_not_followed_and_hard_links_free_nothing(filled, tmp_path):
    away = tmp_path / "away"
    for name in (C, f"data/{C}"):
        (away / name).mkdir(parents=True)
        (away / name / "file").write_text("mine")
    Path(f"results/zoo/labels/{C}").parent.mkdir()
    Path(f"results/zoo/labels/{C}").symlink_to(away / C)
    Path("results/zoo/passport").symlink_to(away)
    Path("results/linked").symlink_to(away)
    os.link(f"results/zoo/features/stats/{C}/file", tmp_path / "shared")
    found = unneeded("results")
    assert names_of(found) == filled
    assert sum(one.size for one in found) == 8000
    (Path(f"results/zoo/data/{C}") / "link").symlink_to(away)
    remove(found, "results")
    assert (away / C / "file").exists()
    assert (tmp_path / "shared").stat().st_size == 5000


def test_a_prune_that_was_killed_leaves_nothing_that_looks_whole(filled, monkeypatch):
    """The next one removes the rest, also where its key is needed again."""
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda path: None)
        remove([one for one in unneeded("results") if one.kind == "data"], "results")
    assert [path.name for path in Path("results/zoo/data").iterdir() if C in path.name] == [f"{C}.pruned"]
    filled.add(f"zoo/data/{C}.pruned")
    filled.remove(f"zoo/data/{C}")
    half = Path(f"results/zoo/data/{A}.pruned")
    half.mkdir()
    assert names_of(unneeded("results")) - filled == {f"zoo/data/{A}.pruned"}
    remove(unneeded("results"), "results")
    assert not half.exists()
    assert Path(f"results/zoo/data/{A}").exists()


def test_logs_of_old_keys_and_of_removed_studies_go(filled):
    kept = [
        f"zoo/train/stats/all.mlp.{A}.seeds-1-2.log", f"zoo/extract/pca.{B}.attn1.log",
        "studies/one/zoo/page.log", f"studies/two/zoo/stamp/{B}.log", f"zoo/mine/{C}.log",
        f"zoo/train/{C}.txt", f"{C}.log", f"studies/three/zoo/stamp/{D}.log",
    ]  # fmt: skip
    stale = [
        f"zoo/train/stats/all.mlp.{C}.seeds-1-2.tsv", f"studies/two/zoo/stamp/{C}.log",
        "studies/gone/zoo/page.log", f"sparse/digits/train/dense.{C}.seed-42.log",
    ]  # fmt: skip
    for name in kept + stale:
        path = Path("logs", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("log")
    Path(f"logs/zoo/train/link.{C}.log").symlink_to("elsewhere")
    record("three", f"zoo/data/{A}/layers.parquet", key=D)
    found = [
        one.path.relative_to("logs").as_posix() for one in unneeded("results", "logs") if one.kind == "logs"
    ]
    assert sorted(found) == sorted(stale)
    assert main(["prune", "--yes"]) == 0
    assert {path.relative_to("logs").as_posix() for path in Path("logs").rglob("*") if path.is_file()} == set(
        kept
    )


def test_logs_are_left_alone_where_the_results_are_not_theirs(filled):
    Path(f"logs/zoo/train/{C}.log").parent.mkdir(parents=True)
    Path(f"logs/zoo/train/{C}.log").write_text("log")
    assert main(["prune", "--yes", "--results", "./results"]) == 0
    assert Path(f"logs/zoo/train/{C}.log").exists()


def test_nothing_is_pruned_while_a_run_goes_on(filled, capsys):
    from lorascope.study import lock

    lock.hold_folder()
    try:
        assert main(["prune", "--yes"]) == 2
        assert "another snakemake is running" in capsys.readouterr().err
        assert names_of(unneeded("results")) == filled
        assert main(["prune"]) == 0, "listing harms nobody"
    finally:
        lock._held.pop().close()


def test_no_results_folder_is_one_line(capsys):
    assert main(["prune"]) == 2
    assert "results: no results folder here" in capsys.readouterr().err
