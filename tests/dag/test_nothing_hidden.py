"""What is missing is planned, whatever snakemake remembers of the jobs before it.

Where a job has a reason of its own to run, snakemake leaves out everything behind it, and takes in again what
reads it, but not what reads it as ``ancient()``. Such a run would end without an error and without results.
"""

from pathlib import Path

import pytest
from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

from planning import Dag

FIVE = {
    "dataset": "five",
    "datasets": {"five": {"source": "sanity"}},
    "representations": ["stats", "delta_gram"],
    "importance": {"representation": "stats"},
    "seeds": 1,
}
ZOO = {"dataset": "zoo", "datasets": {"zoo": {"source": "zoo", "base": "train", "adapters": 30}}}
STEPS = ("prepare", "label", "passport", "fit", "extract")


@pytest.mark.parametrize("last", ["prepare", "passport", "extract"])
def test_marks_of_a_killed_run_hide_nothing(tmp_path, last):
    """Killed alone, snakemake leaves its marks on files that the job finishes all the same."""
    dag = Dag(tmp_path, **FIVE)
    dag.finish(*STEPS[: STEPS.index(last) + 1])
    missing = Dag(tmp_path, **FIVE).planned
    assert {"train", "aggregate", "page"} <= set(missing)
    for job in dag.of(last):
        dag.workflow.persistence.started(job)
    assert Dag(tmp_path, **FIVE).planned == missing


def test_an_upgrade_between_two_runs_hides_nothing(tmp_path):
    """Another text of a rule, another environment: recorded, but what matters of them is in the paths."""
    dag = Dag(tmp_path, **FIVE)
    dag.finish("prepare")
    missing = Dag(tmp_path, **FIVE).planned
    before = {"code": "echo", "params": ["'old'"], "input": ["old"], "software_stack_hash": "old"}
    record = MetadataRecord(rule="prepare", record_format_version=RECORD_FORMAT_VERSION, **before)
    for job in dag.of("prepare"):
        for output in job.output:
            dag.workflow.persistence._write_record(str(output), record)
    assert Dag(tmp_path, **FIVE).planned == missing


@pytest.mark.parametrize(("targets", "config"), [((), FIVE), ((), ZOO), (("sparse",), {})])
def test_nothing_ancient_is_behind_what_a_newer_file_makes_run(tmp_path, targets, config):
    dag = Dag(tmp_path, *targets, **config)
    for job in dag.jobs:
        watched = [file for file in job.input if not file.is_ancient]
        behind = [
            reader
            for reader, files in dag.workflow.dag.depending[job].items()
            if any(f.is_ancient for f in files)
        ]
        assert not (watched and behind), f"{job.rule.name}: {watched} hide {behind}"


def test_every_file_is_asked_for_but_the_folder_of_figures(tmp_path):
    """A file that nobody asks for is not made again when it is lost."""
    dag = Dag(tmp_path, **ZOO)
    asked = {
        file
        for readers in dag.workflow.dag.depending.values()
        for files in readers.values()
        for file in files
    }
    unasked = {Path(file) for job in dag.jobs for file in job.output if file not in asked}
    assert {(path.parts[-2], path.name) for path in unasked} == {("report", "figures")}
