"""One job at a time on each CUDA device of a machine: a lock file a device, which the kernel releases."""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from lorascope.errors import LorascopeError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL_SECONDS = 0.2

# A file that nobody refers to is closed, and with it goes the lock.
_held: dict[Path, IO] = {}


def cuda_devices() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES names, else the devices of the machine; none without a driver.

    torch is not asked: what it sees of the machine is fixed by the first question.
    """
    if VISIBLE in os.environ:
        return [name.strip() for name in os.environ[VISIBLE].split(",") if name.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return []
    # Lines of a device's parts (MIG) are indented.
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return [str(index) for index in range(count)]


def lock_folder() -> Path:
    """Return the folder of this user's locks: of this machine, as devices are, so not among results."""
    return Path(tempfile.gettempdir(), f"lorascope-devices-{os.getuid()}")


def hold_device(devices: Sequence[str], folder: str | Path) -> str:
    """Wait for a free device, keep it until this process ends, however it ends, and make only it visible.

    Must be called before CUDA starts, which reads CUDA_VISIBLE_DEVICES once.

    Args:
        devices: names as in CUDA_VISIBLE_DEVICES; the first that is free is taken.
        folder: where the lock files are; the same for all processes that share the devices.

    Returns:
        The device's name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for device in devices:
            if _lock(folder / f"{device.replace('/', '_')}.lock"):
                os.environ[VISIBLE] = device
                return device
        time.sleep(_POLL_SECONDS)


def _lock(path: Path) -> bool:
    if path in _held:
        return True
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held[path] = file
    return True


def choose_device(wanted: str) -> str:
    """Turn ``cpu``, ``cuda`` or ``auto`` into ``cpu`` or ``cuda``, and for the latter hold one device.

    ``auto`` is ``cuda`` where the machine has a device and torch is built for CUDA.

    Raises:
        LorascopeError: ``cuda``, and torch finds no device.
    """
    devices = cuda_devices() if wanted != "cpu" else []
    if wanted == "auto" and not (devices and _torch_knows_cuda()):
        return "cpu"
    if devices:
        hold_device(devices, lock_folder())
    if wanted == "cuda":
        require_cuda()
    return "cpu" if wanted == "cpu" else "cuda"


def require_cuda() -> None:
    """Check that torch can compute on a CUDA device.

    Raises:
        LorascopeError: it finds none.
    """
    import torch

    if not torch.cuda.is_available():
        raise LorascopeError("--device cuda: torch finds no CUDA device; use cpu, or install torch for CUDA")


def _torch_knows_cuda() -> bool:
    import torch

    return torch.backends.cuda.is_built()
