"""A store in a bucket of an S3-compatible object store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256 as new_sha256
from pathlib import Path

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType

from lorascope.errors import LorascopeError
from lorascope.files import atomic_path
from lorascope.store.entry import address_of
from lorascope.store.places import StoredFile, chunks, sha256_of


class Bucket:
    """A store in a bucket; its methods are those of :class:`lorascope.store.places.Place`.

    An object appears when it is complete, and files are named by their content: two runs that publish the
    same entry at once write different names or the same bytes, and whichever manifest is last names files
    that are there. So nothing is locked, and nothing needs conditional writes, which not every
    S3-compatible store has; such runs compute the entry twice.
    """

    def __init__(self, where: str):
        self._where = where.partition("?")[0].rstrip("/")
        try:
            self._files, self._root = FileSystem.from_uri(_small_objects_in_one_request(where))
        except (pa.ArrowInvalid, OSError) as error:
            raise LorascopeError(f"features_dir: {where}: {str(error).splitlines()[0]}") from None

    def __str__(self) -> str:
        return self._where

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def read(self, name: str) -> bytes | None:
        try:
            with self._files.open_input_stream(self._path(name)) as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        with self._files.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def publish(self, path: Path, name: str) -> None:
        # In one call: a stream that Ctrl-C interrupts between two is closed, and half an object appears. Not
        # copy_files, which keeps errors of small objects to itself.
        with pa.memory_map(str(path)) as source, self._files.open_output_stream(self._path(name)) as stream:
            stream.write(source.read_buffer())

    def take(self, name: str, sha256: str, out: Path) -> bool:
        digest = new_sha256()
        try:
            with atomic_path(out) as temp, temp.open("wb") as target:
                with self._files.open_input_stream(self._path(name)) as stream:
                    for chunk in chunks(stream):
                        digest.update(chunk)
                        target.write(chunk)
                if digest.hexdigest() != sha256:
                    raise _WrongDigestError
        except _WrongDigestError:
            return False
        return True

    def digest(self, name: str) -> str:
        with self._files.open_input_stream(self._path(name)) as stream:
            return sha256_of(stream)

    def files(self, folder: str = "") -> list[StoredFile]:
        selector = FileSelector(self._path(folder).rstrip("/"), allow_not_found=True, recursive=True)
        start = len(self._root) + 1
        return [
            StoredFile(info.path[start:], info.size, info.mtime.timestamp())
            for info in self._files.get_file_info(selector)
            if info.type == FileType.File and address_of(info.path[start:].rpartition("/")[0])
        ]

    def rename(self, name: str, new: str) -> None:
        self._files.move(self._path(name), self._path(new))

    def remove(self, names: list[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                self._files.delete_file(self._path(name))

    @contextmanager
    def lock(self, folder: str, waiting: Callable[[], None] | None) -> Iterator[bool]:
        yield True


class _WrongDigestError(Exception):
    """What was read is not what was published."""


def _small_objects_in_one_request(where: str) -> str:
    return f"{where}{'&' if '?' in where else '?'}allow_delayed_open=true"
