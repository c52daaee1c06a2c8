"""What identifies a source's files while a workflow is parsed: cheap, and not changed by a `touch`.

Files below 16 MB and tables of labels are digested whole. Of a larger file 64 kB at each end and 4 kB of
every megabyte are: a set of 20 GB costs 80 MB. A change that keeps the size and misses these is found by the
digest of all its bytes, which `prepare` records (:mod:`lorascope.data.inputs`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lorascope.digests import digest_of, running_digest
from lorascope.errors import LorascopeError

WHOLE = 16 << 20
STRIDE = 1 << 20
BLOCK = 4096
END = 1 << 16


class SourceFile(NamedTuple):
    """A file of a source; ``whole``: no byte of it may go unnoticed, whatever its size."""

    path: Path
    whole: bool = False

    @property
    def is_sampled(self) -> bool:
        """Whether its fingerprint leaves bytes out."""
        return not self.whole and self.path.stat().st_size >= WHOLE


def state_of(path: Path) -> list[int]:
    """Return what tells, without reading, that a file is the one that was read: no write leaves all alone."""
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def file_digest(path: Path) -> str:
    """Return the digest of all bytes of a file."""
    digest = running_digest()
    buffer = memoryview(bytearray(STRIDE))
    with path.open("rb", buffering=0) as opened:
        while count := opened.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def file_fingerprint(file: SourceFile) -> str:
    """Return the digest of a file, or of its size and samples where it is large."""
    path, size = file.path, file.path.stat().st_size
    if not file.is_sampled:
        return file_digest(path)
    digest = running_digest()
    digest.update(str(size).encode())
    with path.open("rb", buffering=0) as opened:
        digest.update(opened.read(END))
        for position in range(STRIDE, size - END, STRIDE):
            opened.seek(position)
            digest.update(opened.read(BLOCK))
        opened.seek(size - END)
        digest.update(opened.read(END))
    return digest.hexdigest()


def folder_files(folder: str | Path) -> dict[str, SourceFile]:
    """Return the files below a folder by their path in it.

    Raises:
        LorascopeError: the folder is missing or empty.
    """
    root = Path(folder)
    if not root.is_dir():
        raise LorascopeError(f"{folder}: no such folder")
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    # Hidden files are lock and cache droppings of loaders, not data.
    shown = sorted(name for name in paths if not name.startswith(".") and "/." not in name)
    if not shown:
        raise LorascopeError(f"{folder}: the folder is empty")
    return {name: SourceFile(paths[name]) for name in shown}


def joint_fingerprint(fingerprints: Mapping[str, str]) -> str:
    """Return a digest of names and fingerprints."""
    return digest_of("".join(f"{name}\0{found}\n" for name, found in fingerprints.items()).encode())
