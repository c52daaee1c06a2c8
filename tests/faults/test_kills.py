"""kill -9 at random moments of every step: the next run ends in the same bytes, nothing is half-written."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from faults.recovery import ALL, SEED, Study, assert_nothing_half_written, steps_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

# Kills in a row in one folder before the run that must end in the same bytes.
IN_A_ROW = 5
# LORASCOPE_FAULTS_KILLS: how many `make test-faults` is to try in all, where an hour is too long.
IN_ALL = int(os.environ.get("LORASCOPE_FAULTS_KILLS", "100"))
SHARES = {"sanity": 0.6, "zoo": 0.25, "sparse": 0.15}
EVERYTHING, SNAKEMAKE, JOB = "everything", "snakemake alone", "a job alone"
WHAT = (EVERYTHING, EVERYTHING, SNAKEMAKE, JOB)
# For every commit; snakemake alone comes last, because its job may end unseen before the last run.
SAMPLE = (EVERYTHING, JOB, SNAKEMAKE)
KILLS = {name: round(share * IN_ALL) for name, share in SHARES.items()} if ALL else {"sanity": len(SAMPLE)}
POLL = 0.02
# Seconds; far more than any job of these studies takes.
PATIENCE = 600


def start(study: Study, folder: Path) -> subprocess.Popen:
    """Start a run in a process group of its own."""
    return subprocess.Popen(
        study.command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def wait_for(process: subprocess.Popen, moment: float, jobs: bool) -> bool:
    """Wait so many seconds, counted from the first job on if ``jobs``; return whether it still runs then."""
    while jobs and process.poll() is None and not steps_of(process.pid):
        time.sleep(POLL)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        return True
    return False


def kill(process: subprocess.Popen, what: str, moments: random.Random) -> str | None:
    """Kill the run, or a part of it; return the steps that ran, or None where there was nothing to kill."""
    steps = steps_of(process.pid)
    if what == JOB and not steps:
        what = EVERYTHING
    hit = ", ".join(sorted(set(steps.values()))) or "between jobs"
    if what == JOB:
        victim = moments.choice(sorted(steps))
        hit = steps[victim]
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            hit = None
    elif what == SNAKEMAKE:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return hit


def wait_for_orphans(groups: list[int]) -> None:
    """Wait for the jobs of killed runs: they go on beside the next runs, but may not end after the last."""
    deadline = time.monotonic() + PATIENCE
    for group in groups:
        with suppress(ProcessLookupError):
            while True:
                os.killpg(group, 0)
                assert time.monotonic() < deadline, (
                    f"what a killed run started goes on: process group {group}"
                )
                time.sleep(POLL)


def series(study: Study, folder: Path, kills: int, moments: random.Random, tried: Callable) -> None:
    """Kill so many times, and see after every few that a plain run ends in the same bytes."""
    done = 0
    while done < kills:
        study.prepare(folder)
        groups = []
        for _ in range(min(IN_A_ROW, kills - done)):
            process = start(study, folder)
            groups.append(process.pid)
            # Now and then while it plans, before its first job.
            planning = ALL and moments.random() < 0.1
            what = EVERYTHING if planning else moments.choice(WHAT) if ALL else SAMPLE[done]
            if not wait_for(process, moments.uniform(0, 2 if planning else study.seconds / 2), not planning):
                assert process.returncode == 0
                break
            if hit := kill(process, what, moments):
                done += 1
                tried(f"kill -9 of {what}", hit)
            assert_nothing_half_written(folder)
        wait_for_orphans(groups)
        study.assert_recovered(folder)
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", KILLS)
def test_kill_9_at_random_moments_ends_in_the_same_bytes(name, tmp_path, tried, request):
    series(request.getfixturevalue(name), tmp_path / "study", KILLS[name], random.Random(SEED), tried)
