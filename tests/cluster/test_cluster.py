"""The study on a real SLURM of two nodes: the same bytes as here, also when a node or a job is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import local_slurm
import pytest
from local_slurm import CPU_NODE, GPU_NODE, Cluster, Job, cluster, why_not

from hub import Hub, published_files
from workflow import ROOT, command, metric_bytes, run, write_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(why_not() is not None, reason=f"no SLURM: {why_not()}"),
]

# The sanity data set and a small zoo in one study; a job for each seed, so that there are arrays.
STUDY = {
    "dataset": ["five", "tiny"],
    "layer_sets": ["all"],
    "representations": ["stats"],
    "probes": ["mlp"],
    "seeds": 2,
    "seeds_per_job": 1,
    "mlp": {"hidden": [16], "epochs": 4},
    "datasets": {
        "five": {"source": "sanity"},
        "tiny": {"source": "zoo", "adapters": 30, "steps": 2, "images": 2, "block": 30},
    },
}
FIVE_ALONE = {**STUDY, "dataset": ["five"]}
# What a cluster without accounting needs, and no waiting for what is quick here.
HERE = {
    "--workflow-profile": str(ROOT / "profiles/slurm"),
    "--slurm-status-command": "squeue",
    "--slurm-init-seconds-before-status-checks": "1",
    "--seconds-between-status-checks": "1",
    "--latency-wait": "10",
    "--set-resources": "train:gpu=1",
}
PATIENT_SQUEUE = Path(__file__).with_name("patient")
# All trained cells: what comes after is the same few tables, made in one job here as there.
TARGET = "stats"
SECONDS = 1500


@pytest.fixture(scope="module")
def slurm():
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """The folder of the study, run without a cluster."""
    folder = tmp_path_factory.mktemp("here")
    write_config(folder, STUDY)
    done = run(folder, TARGET)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def untrained(here, tmp_path) -> Path:
    """A copy of that folder where the cells of the sanity data set are still to be trained."""
    folder = tmp_path / "study"
    shutil.copytree(here, folder, copy_function=shutil.copy2)
    write_config(folder, FIVE_ALONE)
    for lost in ("results/five/probes", "logs/five/train"):
        shutil.rmtree(folder / lost)
    return folder


@contextmanager
def started(slurm: Cluster, folder: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """Run the study of a folder on the cluster; what still runs at the end is killed."""
    path = f"PATH={PATIENT_SQUEUE}:{os.environ['PATH']}"
    flags = [word for flag in HERE.items() for word in flag]
    line = [*slurm.inside, "env", path, *command(folder, TARGET), *flags, "--slurm-no-account", *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def finish(run: subprocess.Popen, *, complete: bool) -> None:
    """Wait for a run to end as it should."""
    output, _ = run.communicate(timeout=SECONDS)
    assert (run.returncode == 0) == complete, output


def submit(slurm: Cluster, folder: Path) -> None:
    """Run the study of a folder on the cluster, to a good end."""
    with started(slurm, folder) as run:
        finish(run, complete=True)


def wait_for(found: Callable):
    """Return what a function finds, as soon as it finds something."""
    deadline = time.monotonic() + SECONDS
    while not (something := found()):
        assert time.monotonic() < deadline, f"nothing for {SECONDS} s"
        time.sleep(0.1)
    return something


def training(slurm: Cluster, folder: Path, started: int) -> Job:
    """Return the job that trains, once so many have begun to."""
    wait_for(lambda: len(list(folder.glob("logs/five/train/**/*.log"))) >= started)
    return wait_for(lambda: [job for job in slurm.jobs() if job.state == "RUNNING"])[0]


def cells(folder: Path) -> dict[str, bytes]:
    """Return the bytes that count, without the tables that a run with a lost cell leaves of what there is."""
    return {path: content for path, content in metric_bytes(folder).items() if "/summary/" not in path}


def jobs_since(slurm: Cluster, before: list[Job]) -> list[Job]:
    known = {job.number for job in before}
    return [job for job in slurm.jobs() if job.number not in known]


def test_the_same_bytes_from_both_nodes_and_gpu_jobs_one_by_one_where_the_gpu_is(slurm, here, tmp_path):
    write_config(tmp_path, STUDY)
    submit(slurm, tmp_path)
    assert cells(tmp_path) == cells(here)

    jobs = slurm.jobs()
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert {job.node for job in jobs} == {GPU_NODE, CPU_NODE}
    on_gpu = sorted((job for job in jobs if "gpu" in job.gpus), key=lambda job: job.start)
    assert {job.node for job in on_gpu} == {GPU_NODE}
    assert len(on_gpu) == len(STUDY["dataset"]) * STUDY["seeds"]
    assert all(earlier.end <= later.start for earlier, later in pairwise(on_gpu))
    for rule in ("extract", "train"):
        assert all("_" in job.number for job in jobs if job.comment.startswith(f"rule_{rule}")), "no array"


def test_nodes_that_reach_no_hub_run_the_study_of_a_set_on_it(slurm, tmp_path, monkeypatch):
    """The network of the cluster is not that of the hub: all it has is what was downloaded before."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    study = {**STUDY, "dataset": "mine", "datasets": {"mine": {"source": "hub", "path": "owner/adapters"}}}
    folders = [tmp_path / name for name in ("there", "here")]
    with Hub() as hub:
        hub.publish("owner/adapters", published_files(40, 3, signal=0.5))
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        for folder, until in zip(folders, (["--until", "download"], []), strict=True):
            write_config(folder, study)
            done = run(folder, TARGET, *until)
            assert done.returncode == 0, done.stdout
        hub.asked.clear()
        before = slurm.jobs()
        submit(slurm, folders[0])
        assert hub.asked == []
    assert cells(folders[0]) == cells(folders[1])
    assert {job.state for job in jobs_since(slurm, before)} == {"COMPLETED"}
    assert any(job.comment.startswith("rule_prepare") for job in jobs_since(slurm, before))


def test_after_a_cancelled_job_and_a_lost_node_the_next_run_completes(slurm, here, untrained):
    before = slurm.jobs()
    of_this_node = {**os.environ, "SLURMD_NODENAME": GPU_NODE}
    with subprocess.Popen(["sleep", "infinity"], env=of_this_node) as bystander:
        # So that both losses count: neither SLURM nor snakemake tries again.
        with started(slurm, untrained, "--retries", "0", "--slurm-no-requeue") as first:
            slurm.run("scancel", training(slurm, untrained, 1).number)
            assert training(slurm, untrained, 2).node == GPU_NODE
            slurm.lose_node(GPU_NODE)
            finish(first, complete=False)
        assert bystander.poll() is None, "a process outside was killed"
        bystander.kill()
    slurm.restore_node(GPU_NODE)
    states = [job.state for job in jobs_since(slurm, before)]
    assert len(states) == 2
    assert set(states) <= {"CANCELLED", "FAILED", "NODE_FAIL"}

    submit(slurm, untrained)
    assert cells(untrained) == cells(here)


def test_a_cancelled_job_is_tried_again_with_twice_the_memory(slurm, here, untrained):
    before = slurm.jobs()
    write_config(untrained, {**FIVE_ALONE, "seeds": 1})
    with started(slurm, untrained) as run:
        cancelled = training(slurm, untrained, 1)
        slurm.run("scancel", cancelled.number)
        finish(run, complete=True)
    again = jobs_since(slurm, before)[-1]
    assert (cancelled.memory, again.memory, again.state) == ("4000M", "8000M", "COMPLETED")
    assert cells(untrained).items() <= cells(here).items()


def test_nothing_is_left_behind_by_a_cluster_whose_starter_was_killed():
    def left() -> list[str]:
        lines = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))
        return [line.decode() for line in lines if b"slurm" in line or b"munge" in line]

    settings = sorted(Path("/etc/slurm").rglob("*"))
    others = left()
    starter = subprocess.Popen(
        [sys.executable, local_slurm.__file__, "bash", "-c", "echo up; exec sleep 600"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout.readline() == "up\n"
        assert len(left()) > len(others)
        starter.send_signal(signal.SIGKILL)
    wait_for(lambda: left() == others)
    assert sorted(Path("/etc/slurm").rglob("*")) == settings
    assert not local_slurm.STATE.exists()
