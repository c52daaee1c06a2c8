"""A store in a folder: a hard link where that is possible, so that sharing costs no bytes."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lorascope.files import TEMP_SUFFIX, atomic_path, write_bytes
from lorascope.locks import hold
from lorascope.store.entry import LOCK, address_of
from lorascope.store.places import StoredFile, sha256_of

# representation / key / group.content / file
_DEPTH = "*/*/*/*"


class Mount:
    """A store in a folder that all its users see, such as a network mount.

    Its methods are those of :class:`lorascope.store.places.Place`.
    """

    def __init__(self, where: str):
        self._root = Path(where).absolute()

    def __str__(self) -> str:
        return str(self._root)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        write_bytes(self._root / name, content)

    def publish(self, path: Path, name: str) -> None:
        target = self._root / name
        # What lies there without a manifest is the rest of a killed run.
        target.unlink(missing_ok=True)
        try:
            os.link(path, target)
        except OSError:
            with atomic_path(target) as temp:
                shutil.copyfile(path, temp)
            _link(target, path)

    def take(self, name: str, sha256: str, out: Path) -> bool:
        source = self._root / name
        if self.digest(name) != sha256:
            return False
        out.parent.mkdir(parents=True, exist_ok=True)
        _link(source, out)
        return True

    def digest(self, name: str) -> str:
        with (self._root / name).open("rb") as opened:
            return sha256_of(opened)

    def files(self, folder: str = "") -> list[StoredFile]:
        paths = (self._root / folder).glob("*") if folder else self._root.glob(_DEPTH)
        found = []
        for path in paths:
            name = path.relative_to(self._root)
            if address_of(name.parent.as_posix()) and not path.name.startswith(LOCK):
                with suppress(FileNotFoundError):  # a run may rename or remove it meanwhile
                    state = path.stat()
                    found.append(StoredFile(name.as_posix(), state.st_size, state.st_mtime))
        return found

    def rename(self, name: str, new: str) -> None:
        (self._root / name).rename(self._root / new)

    def remove(self, names: list[str]) -> None:
        folder = (self._root / names[0]).parent
        for name in names:
            (self._root / name).unlink(missing_ok=True)
        if {path.name for path in folder.iterdir()} <= {LOCK}:
            (folder / LOCK).unlink(missing_ok=True)
            _remove_empty(folder, self._root)

    @contextmanager
    def lock(self, folder: str, waiting: Callable[[], None] | None) -> Iterator[bool]:
        with hold(self._root / folder / LOCK, waiting) as held:
            if held:
                # Nobody else writes here now: these are the rests of killed runs.
                for rest in (self._root / folder).glob(f".*{TEMP_SUFFIX}"):
                    rest.unlink(missing_ok=True)
            yield held


def _link(source: Path, out: Path) -> None:
    """Make ``out`` a hard link to ``source``, else a symbolic one, else a copy.

    A hard link survives whatever happens to the store. It is made only to a file that this user may write,
    because snakemake takes a file that it cannot write for one that must never be made again.
    """
    temp = out.with_name(f".{out.name}.{uuid.uuid4().hex}{TEMP_SUFFIX}")
    for make in (_hard_link, os.symlink, shutil.copyfile):
        try:
            make(source, temp)
            break
        except OSError:
            temp.unlink(missing_ok=True)
            if make is shutil.copyfile:
                raise
    temp.replace(out)
    # A rename between two links to the same file does nothing.
    temp.unlink(missing_ok=True)


def _hard_link(source: Path, out: Path) -> None:
    if not os.access(source, os.W_OK):
        raise PermissionError(source)
    os.link(source, out)


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return  # another entry is there, or just came
        folder = folder.parent
