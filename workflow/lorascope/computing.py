"""What can change the last digits of a number beside code, data and settings."""

import os
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "numba", "llvmlite")
BLAS, PROCESSOR, DEVICE = "BLAS", "processor", "device"
COMPUTING = (*LIBRARIES, BLAS, PROCESSOR, DEVICE)
MADE_WITH = "made_with"
_CPU_FACTS = Path("/proc/cpuinfo")


@cache
def computing_versions() -> dict[str, str]:
    """Return name → version of all that computes here, but for the device, which each job chooses."""
    return {**{name: version(name) for name in LIBRARIES}, BLAS: blas(), PROCESSOR: processor()}


def recorded_versions(about: Mapping) -> dict[str, str]:
    """Return those that the provenance of a file names, of :data:`COMPUTING`."""
    named = {**about.get("versions", {}), DEVICE: about.get(DEVICE)}
    return {name: named[name] for name in COMPUTING if named.get(name)}


def made_with(files: Iterable[Mapping]) -> dict[str, list[str]]:
    """Return name → the versions that the provenance of some files names, sorted.

    A file that was put together from others says what made these, under :data:`MADE_WITH`.
    """
    found: dict[str, set[str]] = {}
    for about in files:
        own = {name: [named] for name, named in recorded_versions(about).items()}
        for name, versions in about.get(MADE_WITH, own).items():
            found.setdefault(name, set()).update(versions)
    return {name: sorted(found[name]) for name in COMPUTING if name in found}


def blas() -> str:
    """Return numpy's BLAS: library, version, and the kind of processor that its kernels are for.

    scipy and torch bring their own, which their versions name; kernels are chosen alike.
    """
    import numpy
    from threadpoolctl import threadpool_info

    # Beside the package in wheels; one for all where the system brings it.
    home = str(Path(numpy.__file__).parent)
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    found.sort(key=lambda library: not library["filepath"].startswith(home))
    if not found:
        return "unknown"
    told = (found[0].get(name) for name in ("internal_api", "version", "architecture"))
    return " ".join(word for word in told if word)


def processor() -> str:
    """Return the kind of this machine's processor."""
    try:
        lines = _CPU_FACTS.read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def machine() -> str:
    """Return this machine in words: processor, cores, Python."""
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def device_name(device: str) -> str:
    """Return ``cpu``, or the kind of a CUDA device."""
    if device == "cpu":
        return device
    import torch

    return torch.cuda.get_device_name(device)
