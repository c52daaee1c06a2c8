"""What the machine does to a run: a full disk, a read-only folder, a wrong clock, no memory, company."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults.recovery import ALL, SEED, Study, statuses, steps_of
from workflow import jobs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DAY = 24 * 3600
MORE = "one of its kind is enough for every commit; make test-faults tries all"
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9) if ALL else (0.5,)
FULL, READ_ONLY, READ_ONLY_LATER = "disk full", "results read-only", "results become read-only during the run"
CLOCK, CLOCK_LATER = "clock set back after a run", "clock set back after a killed run"
TWO, MEMORY = "two snakemakes in one folder", "a job out of memory"


def mount(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["mount", *words], capture_output=True, text=True, check=False)


class Disk:
    """A small file system of its own, as a study's results folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True)

    def __enter__(self) -> "Disk":
        self.refusal = mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.folder)).stderr.strip()
        return self

    def change(self, options: str) -> bool:
        return mount("-o", f"remount,{options}", str(self.folder)).returncode == 0

    def __exit__(self, *exception) -> None:
        if not self.refusal:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


def told(done: subprocess.CompletedProcess, words: str) -> str:
    """Return the line that a run says of its fault; no step shows a traceback beside it."""
    assert done.returncode != 0
    assert "lorascope/cli" not in done.stdout, done.stdout
    found = [line.strip() for line in done.stdout.splitlines() if words in line]
    assert found, done.stdout
    return found[0]


@pytest.mark.parametrize("share", SHARES)
def test_a_full_disk(sanity, tmp_path, tried, share):
    sanity.prepare(tmp_path)
    files = [path for path in (sanity.folder / "results").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    with Disk(tmp_path / "results") as disk:
        if disk.refusal:
            tried.skip(FULL, disk.refusal)
        assert disk.change(f"size={int(share * size) >> 10}k")
        seen = told(sanity.run(tmp_path), "No space left on device")
        tried(FULL, f"at {share:.0%} of what the study needs", seen)
        assert disk.change("size=64m")
        sanity.assert_recovered(tmp_path)


def test_a_read_only_folder(sanity, tmp_path, tried):
    sanity.prepare(tmp_path)
    with Disk(tmp_path / "results") as disk:
        if disk.refusal or not disk.change("ro"):
            tried.skip(READ_ONLY, disk.refusal or "no remount")
        seen = told(sanity.run(tmp_path), "Read-only file system")
        tried(READ_ONLY, "the first job", seen)
        assert disk.change("rw")
        sanity.assert_recovered(tmp_path)


@pytest.mark.skipif(not ALL, reason=MORE)
def test_a_folder_that_becomes_read_only(sanity, tmp_path, tried):
    sanity.prepare(tmp_path)
    with Disk(tmp_path / "results") as disk:
        if disk.refusal:
            tried.skip(READ_ONLY_LATER, disk.refusal)
        process = start(sanity, tmp_path)
        hit = first_steps(process)
        # Busy while a job has a file open for writing.
        while not disk.change("ro"):
            time.sleep(0.01)
        output, _ = process.communicate()
        done = subprocess.CompletedProcess([], process.returncode, output)
        tried(READ_ONLY_LATER, hit, told(done, "Read-only file system"))
        assert disk.change("rw")
        sanity.assert_recovered(tmp_path)


def start(study: Study, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        study.command(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def first_steps(process: subprocess.Popen) -> str:
    """Wait for the first jobs; return their steps."""
    while process.poll() is None:
        if steps := steps_of(process.pid):
            return ", ".join(sorted(set(steps.values())))
        time.sleep(0.02)
    raise AssertionError("the run ended before its first job")


def set_clock_back(folder: Path, seconds: float) -> None:
    """Make all that is there lie in the future, as it does after the clock was set back."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.is_symlink():
            then = path.stat().st_mtime + seconds
            os.utime(path, (then, then))


def test_the_clock_is_set_back_after_a_run(sanity, tmp_path, tried):
    shutil.copytree(sanity.folder, tmp_path / "study", copy_function=shutil.copy2)
    set_clock_back(tmp_path / "study", DAY)
    again = sanity.run(tmp_path / "study")
    # What has a plain name is made again at the most; nothing is computed.
    assert set(jobs(again)) <= {"stamp", "aggregate", "summary", "total"}
    tried(CLOCK, "a finished study", "nothing is computed; tables and page are written again at the most")
    sanity.assert_recovered(tmp_path / "study")


@pytest.mark.skipif(not ALL, reason=MORE)
def test_the_clock_is_set_back_after_a_killed_run(sanity, tmp_path, tried):
    sanity.prepare(tmp_path)
    process = start(sanity, tmp_path)
    first_steps(process)
    time.sleep(random.Random(SEED).uniform(0, sanity.seconds / 2))
    hit = ", ".join(sorted(set(steps_of(process.pid).values()))) or "between jobs"
    os.killpg(process.pid, 9)
    process.communicate()
    set_clock_back(tmp_path, DAY)
    tried(CLOCK_LATER, hit)
    sanity.assert_recovered(tmp_path)


def test_a_second_snakemake_is_refused_and_the_first_goes_on(sanity, tmp_path, tried):
    sanity.prepare(tmp_path)
    first = start(sanity, tmp_path)
    hit = first_steps(first)
    seen = told(sanity.run(tmp_path), "another snakemake is running")
    output, _ = first.communicate()
    assert first.returncode == 0, output
    tried(TWO, hit, seen)
    sanity.assert_recovered(tmp_path)


LIMITED = """\
#!/bin/bash
# The limit that a batch system would set, for one cell alone.
[[ "$1" == train && "$*" == *"--layer-set visual "* ]] && ulimit -v {kilobytes}
exec {lorascope} "$@"
"""


# Far below what the libraries of a probe take when they are loaded, so that the cell dies on every machine.
@pytest.mark.parametrize("megabytes", [200, 300, 400] if ALL else [300])
def test_a_job_out_of_memory_is_told_and_the_others_finish(sanity, tmp_path, tried, monkeypatch, megabytes):
    shim = tmp_path / "bin/lorascope"
    shim.parent.mkdir()
    # Beside this Python: the environment need not be activated.
    lorascope = Path(sys.executable).with_name("lorascope")
    shim.write_text(LIMITED.format(kilobytes=megabytes << 10, lorascope=lorascope))
    shim.chmod(0o755)
    study = sanity.prepare(tmp_path / "study")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
        done = sanity.run(study)
    assert done.returncode != 0
    found = statuses(study, "five")
    assert found["stats", "all"] == ("done", "")
    status, reason = found["stats", "visual"]
    assert status == "failed", done.stdout
    assert reason
    tried(MEMORY, f"train, {megabytes} MB", reason)
    sanity.assert_recovered(study)
