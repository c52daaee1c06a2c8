"""Progress: a state per cell, read from files alone."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lorascope.files import write_json, write_table
from lorascope.study import steps
from lorascope.study.config import load_config
from lorascope.study.jobs import all_jobs
from lorascope.study.plan import Plan
from lorascope.study.progress import (
    DONE,
    FAILED,
    MISSING,
    PARTIAL,
    STALE,
    cell_states,
    print_grid,
    run_line,
    run_state,
    step_counts,
)
from lorascope.study.provenance import provenance
from planning import Dag


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


def test_every_step_is_counted_and_features_once_for_all_layer_sets():
    study = plan()
    write_table(study.feature_file("five", "stats", "attn2"), pa.table({"a": [0.0]}), {})
    assert step_counts(study) == [
        {"dataset": "five", "step": "prepare", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "label", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "passport", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "extract", "done": 1, "jobs": 4},
        {"dataset": "five", "step": "fit", "done": 0, "jobs": 2},
        {"dataset": "five", "step": "rank_layers", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "adapter_map", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "control", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "train", "done": 0, "jobs": 4},
        {"dataset": "five", "step": "aggregate", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "keep_probes", "done": 0, "jobs": 1},
        {"dataset": "five", "step": "page", "done": 0, "jobs": 1},
    ]


def test_jobs_are_those_of_the_workflow(tmp_path):
    """Counted, and planned by snakemake: the same rules, outputs and logs."""
    zoo = {"source": "zoo", "adapters": 80, "base": "train", "base_steps": 3}
    settings = {"dataset": "tiny", "datasets": {"tiny": zoo}, "representations": ["stats"]}
    settings["scaling"] = {"fractions": [0.5], "probes": ["ridge"], "representations": ["pca"]}
    study = plan(**settings)
    planned = {
        (job.rule.name, str(job.log))
        for job in Dag(tmp_path, **study.config).jobs
        if job.output and job.rule.name != "stamp"
    }
    counted = all_jobs(study, "tiny")
    assert {(job.step, job.log) for job in counted} == planned
    assert len(counted) == len(planned)


def test_tables_of_other_settings_are_not_done():
    study = plan()
    (tables,) = [job for job in all_jobs(study, "five") if job.step == "aggregate"]
    write_json(tables.output, {})
    assert not tables.is_done
    write_json(study.stamp("five"), {})
    assert tables.is_done


HOLDER = """
from lorascope.study.lock import start_run
start_run("results", 2)
print("held", flush=True)
input()
"""


def record(job, seconds):
    """Write what snakemake's benchmark leaves of a job."""
    path = Path(job.log).with_suffix(".tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\n1.0\t0:00:01\n{seconds}\t0:00:09\n")


def test_what_is_left_is_told_by_finished_jobs_of_the_same_kind():
    study = plan(seeds=6)
    Path("results").mkdir()
    assert run_state(study) == {"began": None, "cores": None, "left_seconds": None}
    all_cells = cells(study)
    finish(study, all_cells["all"], [42, 43, 44])
    first, second, *_ = [job for job in all_jobs(study, "five") if job.step == "train"]
    assert (first.is_done, second.is_done) == (True, False)
    for job in all_jobs(study, "five"):
        if job.step != "train":
            write_json(job.output, {})
            record(job, 100.0)
    write_json(study.stamp("five"), {})
    record(first, 8.0)
    # A second block on all layers, two on visual layers: of another kind, but most like it.
    assert run_state(study)["left_seconds"] == pytest.approx(3 * 8.0)
    assert run_line(run_state(study)) == "No run is going on; about 24.0 s left for one core."


def test_a_run_says_when_it_began_and_on_how_many_cores():
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        run = run_state(plan())
        assert (datetime.now().astimezone() - datetime.fromisoformat(run["began"])).total_seconds() < 600
        assert run["cores"] == 2
        assert run_line(run).startswith(f"Running since {run['began'][:10]} ")
        assert run_line(run).endswith(" on 2 cores; how long is left is not known yet.")
        holder.communicate("\n")
    assert run_state(plan())["began"] is None


def test_a_folder_without_a_study_is_refused(refused):
    with refused("no study here: .*results does not exist"):
        run_state(plan())


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
