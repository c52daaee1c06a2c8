"""One process a CUDA device: who holds which, for how long, and what it sees."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from lorascope import devices
from lorascope.devices import VISIBLE, choose_device, cuda_devices, hold_device

HOLD = """
import os, sys, time
from lorascope.devices import hold_device
device = hold_device(sys.argv[2].split(","), sys.argv[1])
assert os.environ["CUDA_VISIBLE_DEVICES"] == device
print(device, flush=True)
time.sleep(float(sys.argv[3]))
"""


def holding(folder, names="0,1", seconds=60):
    """Start a process that takes a device, says which, and keeps it."""
    command = [sys.executable, "-c", HOLD, str(folder), names, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setenv(VISIBLE, "0")
    held = {}
    monkeypatch.setattr(devices, "_held", held)
    yield
    for file in held.values():
        file.close()


@pytest.fixture
def processes():
    started = []
    yield started
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_each_process_takes_a_device_of_its_own(tmp_path, processes):
    processes += [holding(tmp_path, "0,1,GPU-5a/3") for _ in range(3)]
    assert sorted(process.stdout.readline().strip() for process in processes) == ["0", "1", "GPU-5a/3"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_in_line_waits_until_the_holder_is_dead(tmp_path, processes, end):
    processes.append(holding(tmp_path, "0"))
    assert processes[0].stdout.readline() == "0\n"
    processes.append(holding(tmp_path, "0"))
    os.set_blocking(processes[1].stdout.fileno(), False)
    time.sleep(1)
    assert not processes[1].stdout.readline()
    os.set_blocking(processes[1].stdout.fileno(), True)
    processes[0].send_signal(end)
    assert processes[1].stdout.readline() == "0\n"


def test_never_two_at_a_time_on_a_device(tmp_path, processes):
    # Each holds its device for a while; who starts on it earlier than the one before ends breaks the rule.
    program = HOLD.replace("print(device, flush=True)", "start = time.monotonic()")
    program += "print(device, start, time.monotonic())"
    command = [sys.executable, "-c", program, str(tmp_path), "0,1", "0.3"]
    processes += [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    words = [process.communicate(timeout=60)[0].split() for process in processes]
    spans = sorted((device, float(start), float(end)) for device, start, end in words)
    for (device, _, end), (other, start, _) in pairwise(spans):
        assert device != other or end <= start
    assert {device for device, *_ in spans} == {"0", "1"}


def test_a_process_that_holds_a_device_is_given_it_again(tmp_path):
    assert hold_device(["3"], tmp_path) == "3"
    assert hold_device(["3"], tmp_path) == "3"
    assert os.environ[VISIBLE] == "3"


@pytest.mark.parametrize(
    ("value", "expected"), [("0", ["0"]), ("2, GPU-8f3a", ["2", "GPU-8f3a"]), ("", []), (" , ", [])]
)
def test_devices_that_the_environment_names(monkeypatch, value, expected):
    monkeypatch.setenv(VISIBLE, value)
    assert cuda_devices() == expected


def test_devices_that_the_driver_lists(tmp_path, monkeypatch):
    monkeypatch.delenv(VISIBLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cuda_devices() == []
    lister = tmp_path / "nvidia-smi"
    lister.write_text(
        "#!/bin/sh\necho 'GPU 0: A (UUID: a)'\necho '  MIG 1g (UUID: b)'\necho 'GPU 1: A (UUID: c)'\n"
    )
    lister.chmod(0o755)
    assert cuda_devices() == ["0", "1"]
    lister.write_text("#!/bin/sh\necho 'no driver'\nexit 9\n")
    assert cuda_devices() == []


@pytest.fixture
def locks(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "lock_folder", lambda: tmp_path / "locks")
    return tmp_path / "locks"


def test_a_job_on_the_cpu_holds_nothing(locks, monkeypatch, refused):
    assert choose_device("cpu") == "cpu"
    monkeypatch.setenv(VISIBLE, "")
    assert choose_device("auto") == "cpu"
    with refused("--device cuda: torch finds no CUDA device"):
        choose_device("cuda")
    assert not locks.exists()


@pytest.mark.parametrize(("built", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_device_that_torch_can_use(locks, monkeypatch, built, expected):
    monkeypatch.setattr("torch.backends.cuda.is_built", lambda: built)
    monkeypatch.setenv(VISIBLE, "4,5")
    assert choose_device("auto") == expected
    assert os.environ[VISIBLE] == ("4" if built else "4,5")
    assert locks.exists() == built
