"""Fetch what a pin names into the hub's own cache: resumable to the byte, with digests checked."""

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from lorascope.data.hub.client import (
    WAITS,
    HubFile,
    connection_errors,
    hub_errors,
    log_line,
    opened,
    patiently,
)
from lorascope.data.hub.pins import Pin
from lorascope.data.sources.snapshot import cache_folder
from lorascope.errors import LorascopeError
from lorascope.files import write_json
from lorascope.wording import plural

# Of a file that is on its way; the hub's client has temp files of its own and leaves this one alone.
PARTIAL = ".partial"
_CHUNK = 1 << 20
_LOG_SECONDS = 10
_WRONG = "is not what its digest on the hub says; run again"

Advance = Callable[[int], None]


def download(pin: Pin, marker: str | Path, provenance: dict, advance: Advance = lambda _bytes: None) -> None:
    """Download the files of a pin that are not in the hub's cache, and write down which there are.

    Args:
        pin: the data set.
        marker: gets commit, folder, files, sizes and digests, once all are there.
        provenance: stored as it is (key, versions).
        advance: is told of bytes as they come, and of those that are there.

    Raises:
        LorascopeError: too little room, the hub cannot be reached or refuses, or a file is not what the hub
            says it is.
    """
    cache = cache_folder(pin.path)
    snapshot = cache / "snapshots" / pin.commit
    _check_room(pin, cache)
    count = _Counter(pin, advance)
    for file in pin.files:
        _get(pin, file, cache, snapshot, count)
    told = [file._asdict() for file in pin.files]
    about = {"path": pin.path, "commit": pin.commit, "folder": str(snapshot), "files": told}
    write_json(marker, {**about, "provenance": provenance})
    log_line(f"{pin.path}: {plural(len(pin.files), 'file')}, {count.done:,} bytes, in {snapshot}")


class _Counter:
    """Tells of bytes: to a bar as they come, to the log every few seconds."""

    def __init__(self, pin: Pin, advance: Advance):
        self.done, self._pin, self._advance = 0, pin, advance
        self._told = time.monotonic()

    def __call__(self, count: int) -> None:
        self.done += count
        self._advance(count)
        if time.monotonic() > self._told + _LOG_SECONDS:
            self._told = time.monotonic()
            share = self.done / self._pin.size
            log_line(f"{self._pin.path}: {self.done:,} of {self._pin.size:,} bytes ({share:.0%})")


def _check_room(pin: Pin, cache: Path) -> None:
    """Raise a LorascopeError if what is still to be fetched does not fit into the cache."""
    snapshot = cache / "snapshots" / pin.commit
    absent = [file for file in pin.files if not (snapshot / file.path).exists()]
    blobs = {file.digest: file.size for file in absent if not _blob(cache, file).exists()}
    needed = sum(blobs.values()) - sum(_size(_partial(cache, file)) for file in absent)
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise LorascopeError(
            f"{pin.path}: {needed:,} bytes to download, but {free:,} bytes are free in {there}; make room, "
            "or set HF_HOME to a folder that has it"
        )


def _get(pin: Pin, file: HubFile, cache: Path, snapshot: Path, count: Advance) -> None:
    """Bring one file into the cache, whatever of it is there."""
    from huggingface_hub import hf_hub_download

    linked, blob = snapshot / file.path, _blob(cache, file)
    for place in (linked, blob):
        if place.exists():
            if _digest(place, file) == file.digest:
                count(file.size)
                break
            log_line(f"{place}: not what its digest says; fetching it again")
            place.resolve().unlink()
    else:
        _fetch(pin, file, cache, count)
    if linked.exists():
        return
    linked.unlink(missing_ok=True)
    wanted = {"repo_type": "dataset", "revision": pin.commit}
    with hub_errors(pin.path, pin.commit):
        # It is in the cache: the client only enters it into the snapshot.
        patiently(lambda: hf_hub_download(pin.path, file.path, **wanted), pin.path)
    if linked.resolve() != blob.resolve() and _digest(linked, file) != file.digest:
        raise LorascopeError(f"{pin.path}: {file.path} {_WRONG}")


def _fetch(pin: Pin, file: HubFile, cache: Path, count: Advance) -> None:
    """Fetch a file, from where an earlier try ended, and move it to where the hub's client looks for it."""
    partial = _partial(cache, file)
    partial.parent.mkdir(parents=True, exist_ok=True)
    count(_size(partial))
    tries = iter(WAITS)
    with hub_errors(pin.path, pin.commit):
        while (have := _size(partial)) < file.size:
            try:
                patiently(lambda: _continue(pin, file, partial, count), pin.path)
            except connection_errors() as error:
                if _is_refusal(error):
                    raise
                if _size(partial) > have:
                    tries = iter(WAITS)
                wait = next(tries, None)
                if wait is None:
                    raise
                log_line(f"{pin.path}: {file.path}: broken off; going on in {wait:g} s")
                time.sleep(wait)
                continue
            if _size(partial) == have:
                break
        if file.size == 0:
            partial.touch()
    if _digest(partial, file) != file.digest:
        partial.unlink()
        raise LorascopeError(f"{pin.path}: {file.path} {_WRONG}")
    partial.replace(_blob(cache, file))


def _is_refusal(error: Exception) -> bool:
    """Return whether the hub answered, or this machine failed: trying again does not help."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    return isinstance(error, (HfHubHTTPError, OfflineModeIsEnabled)) or not isinstance(
        error, (HTTPError, ConnectionError, TimeoutError)
    )


def _continue(pin: Pin, file: HubFile, partial: Path, count: Advance) -> None:
    """Fetch the rest of a file; what came before the connection broke is kept."""
    have = _size(partial)
    with opened(pin.path, pin.commit, file.path, have) as response:
        whole = response.status_code != 206
        if whole:
            count(-have)
        with partial.open("wb" if whole else "ab") as out:
            for chunk in response.iter_bytes():
                out.write(chunk)
                count(len(chunk))


def _digest(path: Path, file: HubFile) -> str:
    digest = hashlib.sha256() if file.is_large else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _blob(cache: Path, file: HubFile) -> Path:
    return cache / "blobs" / file.digest


def _partial(cache: Path, file: HubFile) -> Path:
    return cache / "blobs" / f"{file.digest}{PARTIAL}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
