"""One run at a time in a folder, with locks of the kernel and on file systems that have none."""

import errno
import os
import subprocess
import sys
import time

import pytest

from lorascope import locks
from lorascope.study import lock
from lorascope.study.lock import LOCK, hold_folder, run_here

LEASE = LOCK.with_name(f"{LOCK.name}.lease")
# What a run on such a file system sees from its first line on.
NO_FLOCK = """
import errno, fcntl, os
def no_flock(*_):
    raise OSError(errno.{number}, os.strerror(errno.{number}))
fcntl.flock = no_flock
"""
HOLDER = """
from lorascope.study.lock import hold_folder
hold_folder(3)
print("held", flush=True)
input()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    while lock._held:
        lock._held.pop().close()


@pytest.fixture(params=["ENOLCK", "ENOSYS", "ENOTSUP"])
def without_flock(request, monkeypatch):
    """A file system without locks of the kernel, and patience for tests."""

    def no_flock(*_):
        raise OSError(getattr(errno, request.param), os.strerror(getattr(errno, request.param)))

    monkeypatch.setattr(locks.fcntl, "flock", no_flock)
    return NO_FLOCK.format(number=request.param)


def start(program):
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def let_go(process):
    process.communicate("\n")
    assert process.returncode == 0


def test_one_run_at_a_time(refused):
    other = start(HOLDER)
    with refused("another snakemake is running in"):
        hold_folder()
    assert run_here().cores == 3
    let_go(other)
    assert run_here() is None
    hold_folder(1)


def test_a_killed_run_leaves_no_lock():
    other = start(HOLDER)
    other.kill()
    other.communicate()
    hold_folder()
    assert not LEASE.exists()


def test_without_flock_a_folder_is_held_all_the_same(without_flock, monkeypatch, refused):
    hold_folder(2)
    assert run_here().cores == 2
    assert LEASE.exists()
    lock._held.pop().close()
    assert run_here() is None
    other = start(without_flock + HOLDER.replace("hold_folder(3)", QUICK))
    monkeypatch.setattr(locks, "LEASE_SECONDS", 5.0)
    with refused("another snakemake is running in"):
        hold_folder()
    assert run_here().cores == 3
    let_go(other)
    assert not LEASE.exists()
    hold_folder()


# The lease is renewed every tenth of a second, so that a test sees it.
QUICK = "import lorascope.locks; lorascope.locks.LEASE_SECONDS = 0.4; hold_folder(3)"


def test_without_flock_the_lease_of_a_killed_run_is_taken(without_flock, monkeypatch):
    other = start(without_flock + HOLDER)
    other.kill()
    other.communicate()
    assert LEASE.exists()
    monkeypatch.setattr(locks, "LEASE_SECONDS", 0.5)
    hold_folder()
    assert run_here() is not None


def test_a_lease_of_long_ago_is_no_run(without_flock):
    LOCK.parent.mkdir()
    LOCK.write_text("{}")
    LEASE.touch()
    os.utime(LEASE, (time.time() - 3600,) * 2)
    assert run_here() is None


def test_what_else_is_wrong_with_the_lock_is_told(monkeypatch, refused):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(locks.fcntl, "flock", broken)
    with refused("lorascope.lock: Input/output error; see to it, nothing can run here"):
        hold_folder()
