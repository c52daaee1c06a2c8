"""The files that a data set was laid out from: recorded by `prepare`, and compared whenever it is used.

A plan knows a file by its fingerprint, which samples large ones. The record has the digest of all bytes, and
the state (size, times, inode) in which the file was read: while that is the same, nothing is read again.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from lorascope.data.fingerprint import SourceFile, file_digest, file_fingerprint, joint_fingerprint, state_of
from lorascope.errors import LorascopeError
from lorascope.files import read_json, write_json

# Where a description has the record, by the files' names in the source.
FILES = "files"
DATA, IMAGES = "source.json", "manifest.json"
# States in which a file was found to hold what the record says, after a copy or a `touch`.
_SEEN_FILE = "seen.json"
# A write within the tick of a clock may leave times alone: a state this young is no proof.
_TICK_SECONDS = 2.0

Record = dict[str, dict]


def record(files: Mapping[str, SourceFile]) -> Record:
    """Return path, state, fingerprint and full digest of each file."""
    recorded = {}
    for name, file in files.items():
        state, fingerprint = _settled(file.path), file_fingerprint(file)
        digest = file_digest(file.path) if file.is_sampled else fingerprint
        entry = {"path": str(file.path), "state": state, "fingerprint": fingerprint, "digest": digest}
        recorded[name] = entry
    return recorded


def check_unchanged(recorded: Record) -> None:
    """Check, once the files were read, that they are still what was recorded.

    Raises:
        LorascopeError: one is not.
    """
    for entry in recorded.values():
        path = Path(entry["path"])
        if not _is_in_state(path, entry["state"]) and _digest_or_none(path) != entry["digest"]:
            raise LorascopeError(f"{path}: changed while it was read; run again when nothing writes to it")


def fingerprint_by(files: Mapping[str, SourceFile], folder: str | Path, description: str = DATA) -> str:
    """Return the joint fingerprint of files; those that a record of this data set knows are not read.

    Args:
        folder: where the data set is laid out, one folder a key.
        description: name of the file in it that has the record.
    """
    known = _newest_record(Path(folder), description)
    return joint_fingerprint({name: _fingerprint(file, known.get(name)) for name, file in files.items()})


def _fingerprint(file: SourceFile, entry: dict | None) -> str:
    if entry and entry["path"] == str(file.path) and _is_in_state(file.path, entry["state"]):
        return entry["digest"] if file.whole else entry["fingerprint"]
    return file_fingerprint(file)


def check_inputs(folder: str | Path, description: str = DATA) -> None:
    """Compare the files of a source with the record of the data set that was laid out from them.

    A change that the fingerprint shows has a key of its own; the one that it does not show ends here. Files
    that are gone, and a data set without a record, are taken for what they were.

    Args:
        folder: what `prepare` wrote.
        description: name of the file in it that has the record.

    Raises:
        LorascopeError: a file has other bytes under the same fingerprint.
    """
    folder = Path(folder)
    seen: dict[str, list[int]] = {}
    for name, entry in _record_in(folder / description).items():
        path = Path(entry["path"])
        if entry["digest"] == entry["fingerprint"] or _is_in_state(path, entry["state"]):
            continue
        if not seen:
            seen = _states_seen(folder)
        if _is_in_state(path, seen.get(name)):
            continue
        if not path.is_file() or file_fingerprint(SourceFile(path)) != entry["fingerprint"]:
            continue
        state = _settled(path)
        if file_digest(path) != entry["digest"]:
            made = folder.parent.parent if folder.parent.name in ("data", "images") else folder
            raise LorascopeError(
                f"{path}: changed since {folder} was made of it, and only where its fingerprint takes no "
                f"sample; remove {made} and run again"
            )
        seen[name] = state
        with suppress(OSError):
            write_json(folder / _SEEN_FILE, seen, signed=False)


def _settled(path: Path) -> list[int] | None:
    """Return the state of a file; None if it was written just now."""
    state = state_of(path)
    return state if max(state[1:3]) < (time.time() - _TICK_SECONDS) * 1e9 else None


def _is_in_state(path: Path, state: list[int] | None) -> bool:
    try:
        return state is not None and state_of(path) == state
    except OSError:
        return False


def _digest_or_none(path: Path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return None


def _newest_record(folder: Path, description: str) -> Record:
    made = sorted(folder.glob(f"*/{description}"), key=lambda path: path.stat().st_mtime_ns)
    return _record_in(made[-1]) if made else {}


def _record_in(path: Path) -> Record:
    try:
        return _read_record(path, path.stat().st_mtime_ns)
    except (OSError, LorascopeError):
        # Absent, or damaged: who needs it otherwise will say so.
        return {}


@lru_cache(maxsize=8)
def _read_record(path: Path, _written: int) -> Record:
    return read_json(path).get(FILES, {})


def _states_seen(folder: Path) -> dict[str, list[int]]:
    try:
        return json.loads((folder / _SEEN_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
