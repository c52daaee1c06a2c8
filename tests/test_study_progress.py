"""Progress: a state per cell, read from files alone."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from lorascope.files import write_table
from lorascope.study import steps
from lorascope.study.config import load_config
from lorascope.study.plan import Plan
from lorascope.study.progress import (
    DONE,
    FAILED,
    MISSING,
    PARTIAL,
    STALE,
    cell_states,
    print_grid,
    step_counts,
)
from lorascope.study.provenance import provenance


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(**settings):
    study = {
        "dataset": "five",
        "datasets": {"five": {"source": "sanity"}},
        "representations": ["stats"],
        "probes": ["mlp"],
    }
    return Plan(load_config({**study, "seeds": 4, "seeds_per_job": 3, **settings}))


def finish(plan, cell, seeds, code=None):
    """Write what training writes for some seeds, and for the blocks that they complete."""
    table = pa.table({"seed": [0]})
    metadata = provenance(cell.key, plan.config["mlp"], code or steps.train("mlp"))
    for seed in seeds:
        for kind in ("details", "runs"):
            write_table(f"{cell.folder}/seeds/seed-{seed}.{kind}.parquet", table, metadata)
    for block, runs, details in zip(cell.blocks, cell.runs, cell.details, strict=True):
        if set(range(block.first, block.last + 1)) <= set(seeds):
            write_table(runs, table, metadata)
            write_table(details, table, metadata)


def states(plan):
    """Return layer set → (state, seeds done, why)."""
    found = cell_states(plan)
    return {entry["layer_set"]: (entry["state"], entry["seeds_done"], entry["why"]) for entry in found}


def cells(plan):
    return {cell.layer_set: cell for cell in plan.cells("five")}


def test_nothing_is_done_at_first():
    assert states(plan()) == {"all": (MISSING, 0, ""), "visual": (MISSING, 0, "")}


def test_seeds_are_counted_while_a_run_is_going():
    finish(plan(), cells(plan())["all"], [42, 43])
    assert states(plan()) == {"all": (PARTIAL, 2, "2 of 4 seeds"), "visual": (MISSING, 0, "")}
    finish(plan(), cells(plan())["all"], [42, 43, 44])
    assert states(plan())["all"] == (PARTIAL, 3, "3 of 4 seeds")


def test_a_cell_is_done_when_every_block_is_written():
    finish(plan(), cells(plan())["visual"], range(42, 46))
    assert states(plan()) == {"all": (MISSING, 0, ""), "visual": (DONE, 4, "")}
    Path(cells(plan())["visual"].details[1]).unlink()
    assert states(plan())["visual"][0] == PARTIAL


def test_more_seeds_keep_those_that_are_done():
    finish(plan(), cells(plan())["all"], range(42, 46))
    assert states(plan(seeds=6))["all"] == (PARTIAL, 4, "4 of 6 seeds")


def test_other_seeds_of_the_same_cell_are_not_stale():
    finish(plan(), cells(plan())["all"], range(42, 46))
    assert states(plan(first_seed=100))["all"] == (MISSING, 0, "")


def write_log(cell, block, text):
    log = Path(cell.log(cell.blocks[block]))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)


def test_an_error_in_the_log_is_a_failure_until_the_block_is_done():
    cell = cells(plan())["all"]
    finish(plan(), cell, [42])
    write_log(cell, 0, "seed 42: fine\nlorascope train: error: out of: paper\n")
    assert states(plan())["all"] == (FAILED, 1, "out of: paper")
    write_log(cell, 1, "seed 45: fine\n")
    finish(plan(), cell, [42, 43, 44])
    assert states(plan())["all"][0] == PARTIAL
    finish(plan(), cell, range(42, 46))
    assert states(plan())["all"] == (DONE, 4, "")


@pytest.mark.parametrize(
    ("step", "settings", "name"),
    [
        ("prepare", {}, lambda plan: plan.data_key("five")),
        ("label", {}, lambda plan: plan.label_key("five")),
        ("extract", {}, lambda plan: f"stats.{plan.feature_key('five', 'stats')}.attn1"),
        (
            "fit",
            {"representations": ["delta_gram"]},
            lambda plan: f"delta_gram.{plan.fit_key('five', 'delta_gram')}.attn1",
        ),
    ],
)
def test_an_error_of_a_step_before_training_fails_the_cells_that_wait_for_it(step, settings, name):
    study = plan(**settings)
    log = Path(f"logs/five/{step}/{name(study)}.log")
    log.parent.mkdir(parents=True)
    log.write_text(f"lorascope {step}: error: no space left\n")
    assert states(study) == dict.fromkeys(("all", "visual"), (FAILED, 0, f"{step}: no space left"))


def test_a_failed_zoo_block_fails_every_cell():
    zoo = {"source": "zoo", "adapters": 80}
    study = plan(dataset="tiny", datasets={"tiny": zoo})
    log = Path(f"logs/tiny/zoo_train/{study.zoo_key('tiny')}.0001.log")
    log.parent.mkdir(parents=True)
    log.write_text("lorascope zoo-train: error: training diverged\n")
    assert {state["why"] for state in cell_states(study)} == {"zoo_train: training diverged"}
    assert step_counts(study)[0] == {"dataset": "tiny", "step": "zoo_train", "done": 0, "jobs": 2}


def test_steps_before_training_are_counted_once_for_all_layer_sets():
    study = plan()
    write_table(study.feature_file("five", "stats", "attn2"), pa.table({"a": [0.0]}), {})
    assert step_counts(study) == [
        {"dataset": "five", "step": "prepare", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "label", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "passport", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "extract", "done": 1, "jobs": 2},
    ]


def test_a_probe_without_randomness_has_one_seed(capsys):
    study = plan(probes=["ridge"])
    finish(study, {cell.layer_set: cell for cell in study.cells("five")}["all"], [42])
    assert states(study)["all"] == (DONE, 1, "")
    print_grid(cell_states(study), step_counts(study))
    assert "1 seed " in capsys.readouterr().out


def test_a_log_without_an_error_is_a_run_that_is_going():
    write_log(cells(plan())["all"], 0, "")
    assert states(plan())["all"] == (MISSING, 0, "")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"mlp": {"epochs": 3, "batch": 8}}, "mlp settings changed: batch, epochs"),
        ({"split": {"seed": 1}}, "data, labels, features or layer set changed"),
        ({"grouping": "block"}, "data, labels, features or layer set changed"),
    ],
)
def test_results_of_other_settings_are_stale_and_say_why(settings, why):
    finish(plan(**settings), cells(plan(**settings))["all"], range(42, 46))
    assert states(plan()) == {"all": (STALE, 0, why), "visual": (MISSING, 0, "")}


def test_results_of_other_code_are_stale_and_say_why():
    other = plan(split={"seed": 1})
    finish(other, cells(other)["all"], [42], code=("lorascope.errors",))
    assert states(plan())["all"] == (STALE, 0, "code of the probe changed")


def test_the_newest_stale_result_is_explained():
    for age, settings in ((100, {"mlp": {"epochs": 3}}), (50, {"mlp": {"batch": 8}})):
        cell = cells(plan(**settings))["all"]
        finish(plan(**settings), cell, [42])
        for path in Path(cell.folder).rglob("*.parquet"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    assert states(plan())["all"][2] == "mlp settings changed: batch"


def test_a_damaged_stale_result_is_refused(refused):
    other = plan(mlp={"epochs": 3})
    finish(other, cells(other)["all"], [42])
    next(Path(cells(other)["all"].folder).rglob("*.runs.parquet")).write_bytes(b"PAR1")
    with refused("seed-42.runs.parquet: not a readable parquet file"):
        cell_states(plan())


def test_states_are_plain_json():
    found = cell_states(plan())
    assert json.loads(json.dumps(found)) == found
    assert set(found[0]) == {
        "dataset",
        "representation",
        "layer_set",
        "probe",
        "state",
        "seeds_done",
        "seeds",
        "why",
    }


def test_the_grid_shows_every_cell(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    finish(plan(), cells(plan())["all"], range(42, 46))
    write_log(cells(plan())["visual"], 0, "lorascope train: error: cannot write [/results] and [mine]\n")
    print_grid(cell_states(plan()), step_counts(plan()))
    shown = capsys.readouterr().out
    assert "five, mlp" in shown
    assert "4 seeds" in shown
    assert "failed: cannot write [/results] and [mine]" in shown
    assert "1 of 2 cells are done." in shown


def test_several_data_sets_have_a_grid_each(capsys):
    both = {"five": {"source": "sanity"}, "other": {"source": "sanity"}}
    study = plan(dataset=["five", "other"], datasets=both)
    print_grid(cell_states(study), step_counts(study))
    shown = capsys.readouterr().out
    assert "five, mlp" in shown
    assert "other, mlp" in shown
    assert "0 of 4 cells are done." in shown
