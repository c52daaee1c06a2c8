"""Resuming for real: nothing twice, nothing lost, and the same bytes whatever was killed when."""

import random
import shutil
import time
from pathlib import Path

import pytest

from planning import Dag
from workflow import TINY_ZOO, jobs, metric_bytes, run, run_and_kill, write_config

# Whole workflows, killed and run again: on a busy machine that takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write_config(folder, TINY_ZOO)
    done = run(folder)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """Return a copy of the finished study, times and all."""
    shutil.copytree(finished, tmp_path / "copy", copy_function=shutil.copy2)
    return tmp_path / "copy"


def test_a_second_run_does_nothing_and_says_so(finished):
    again = run(finished)
    assert "Nothing to be done" in again.stdout
    assert jobs(again) == {}


def written(path: Path) -> int:
    """Return when a file was written, or the last one of a folder; snakemake's own mark in a folder aside."""
    inside = [file for file in path.rglob("*") if file.name != ".snakemake_timestamp"]
    return max(file.stat().st_mtime_ns for file in inside or [path])


def test_the_file_that_a_job_writes_last_is_one_that_others_ask_for(finished):
    """So that a job which was killed between two of its files runs again, though nothing marks it."""
    dag = Dag(finished, **TINY_ZOO)
    for job in dag.jobs:
        asked = set().union(*dag.workflow.dag.depending[job].values())
        if job.output:
            assert max(job.output, key=lambda output: written(finished / output)) in asked, job.rule.name


def test_deleted_results_cost_their_cells_alone(copy):
    expected = metric_bytes(copy)
    results = sorted((copy / "results/tiny/probes").rglob("seeds-*.runs.parquet"))[:3]
    for path in results:
        path.unlink()
    done = run(copy)
    assert done.returncode == 0, done.stdout
    counts = jobs(done)
    assert counts["train"] == 3
    assert not {"zoo_train", "prepare", "label", "extract"} & set(counts)
    assert metric_bytes(copy) == expected


def test_touching_every_file_reruns_nothing(copy):
    files = [path for path in (copy / "results").rglob("*") if path.is_file()]
    random.Random(0).shuffle(files)
    for path in files:
        path.touch()
        time.sleep(0.002)
    assert jobs(run(copy, "--dry-run")) == {}


def test_a_lost_snakemake_folder_changes_nothing(copy):
    shutil.rmtree(copy / ".snakemake")
    assert jobs(run(copy, "--dry-run")) == {}


def test_more_seeds_train_only_the_new_ones(copy):
    before = {path: path.read_bytes() for path in (copy / "results").rglob("seeds/*.parquet")}
    write_config(copy, {**TINY_ZOO, "seeds": 3})
    done = run(copy)
    assert done.returncode == 0, done.stdout
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(list((copy / "results").rglob("seeds/*.runs.parquet"))) == len(before) // 2 // 2 * 3


@pytest.mark.parametrize("lose_snakemake", [False, True])
def test_there_and_back_again_computes_nothing_but_the_final_tables(copy, lose_snakemake):
    expected = (copy / "results/studies/default/tiny/summary/cells.csv").read_bytes()
    write_config(copy, {**TINY_ZOO, "representations": ["stats"]})
    assert run(copy).returncode == 0
    assert (copy / "results/studies/default/tiny/summary/cells.csv").read_bytes() != expected
    if lose_snakemake:
        shutil.rmtree(copy / ".snakemake")
    write_config(copy, TINY_ZOO)
    done = run(copy)
    assert done.returncode == 0, done.stdout
    assert set(jobs(done)) <= {"stamp", "aggregate", "keep_probes", "page", "report", "total"}
    assert (copy / "results/studies/default/tiny/summary/cells.csv").read_bytes() == expected


def test_kill_9_at_random_moments_ends_in_the_same_bytes(finished, tmp_path):
    """Of a study with a zoo and a page; tests/faults kills other studies, and parts of a run."""
    write_config(tmp_path, TINY_ZOO)
    moments = random.Random(0)
    kills = 0
    while kills < KILLS:
        if run_and_kill(tmp_path, moments.uniform(2, 12)):
            kills += 1
        else:
            shutil.rmtree(tmp_path / "results")
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert metric_bytes(tmp_path) == metric_bytes(finished)
