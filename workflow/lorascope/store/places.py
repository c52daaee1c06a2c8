"""Where a store lies: what it must be able to do, and which kind a name means."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from lorascope.errors import LorascopeError

BUCKET_SCHEME = "s3"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class StoredFile:
    """A file of a store: its name, its bytes, and when it was written (seconds since 1970)."""

    name: str
    size: int
    modified: float


class Place(Protocol):
    """A mount or a bucket. Names are relative to the store, with slashes; all methods may raise OSError."""

    def read(self, name: str) -> bytes | None:
        """Return a small file; None if there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a small file: it is there as a whole, or not at all."""

    def publish(self, path: Path, name: str) -> None:
        """Put a file into the store: it is there as a whole, or not at all."""

    def take(self, name: str, sha256: str, out: Path) -> bool:
        """Bring a file to ``out``; False, and nothing there, if its digest is another."""

    def digest(self, name: str) -> str:
        """Return the sha256 of a file; FileNotFoundError if there is none."""

    def files(self, folder: str = "") -> list[StoredFile]:
        """Return all files of entries, or those in one entry's folder."""

    def rename(self, name: str, new: str) -> None:
        """Rename a file."""

    def remove(self, names: list[str]) -> None:
        """Remove the files of one folder, in this order; those that are gone already do not count."""

    def lock(self, folder: str, waiting: Callable[[], None] | None) -> AbstractContextManager[bool]:
        """Hold an entry's lock; yield whether it is held. See :func:`lorascope.locks.hold`."""


def check_place(where: str) -> None:
    """Refuse what cannot be a store, without looking over the network and without writing.

    Raises:
        LorascopeError: a URL that is not of a bucket, or a folder in a folder that is not there.
    """
    if "://" in where:
        url = urlsplit(where)
        if url.scheme != BUCKET_SCHEME or not url.netloc:
            raise LorascopeError(f"features_dir: {where} is no s3://bucket/prefix; write that, or a folder")
        return
    folder = Path(where)
    if folder.exists() and not folder.is_dir():
        raise LorascopeError(f"features_dir: {where} is not a folder; give one")
    # A mount that is not mounted must not become a folder on the local disk.
    if not folder.absolute().parent.is_dir():
        raise LorascopeError(f"features_dir: there is no folder {folder.absolute().parent}; mount or make it")


def open_place(where: str) -> Place:
    """Return the store that a folder or an ``s3://`` URL names.

    Raises:
        LorascopeError: see :func:`check_place`.
    """
    check_place(where)
    if "://" in where:
        from lorascope.store.bucket import Bucket

        return Bucket(where)
    from lorascope.store.mount import Mount

    return Mount(where)


def sha256_of(stream: BinaryIO) -> str:
    """Return the digest of all that a stream holds."""
    digest = hashlib.sha256()
    for chunk in chunks(stream):
        digest.update(chunk)
    return digest.hexdigest()


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what a stream holds, piece by piece."""
    while chunk := stream.read(_CHUNK):
        yield chunk
