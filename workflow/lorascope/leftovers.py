"""What killed and failed runs leave behind: temp files that nobody writes any more, and damaged files."""

import fcntl
import os
import shutil
from pathlib import Path

from lorascope.files import TEMP_SUFFIX, write_bytes

_MARK = ".is-damaged"


def sweep(folder: str | os.PathLike) -> list[Path]:
    """Remove the temp files below ``folder`` whose writer is gone; return where they were.

    A writer holds a lock on its temp file and the kernel drops it with the process, so that neither its age
    nor the machine it is on matters. Where the file system has no locks nothing is removed.
    """
    return [path for path in sorted(Path(folder).rglob(f".*{TEMP_SUFFIX}")) if _remove_if_abandoned(path)]


def _remove_if_abandoned(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True


def mark_damaged(path: Path) -> None:
    """Leave a mark beside a damaged file or folder: see :func:`set_aside_marked`."""
    write_bytes(path.with_name(path.name + _MARK), b"")


def set_aside_marked(folder: str | os.PathLike) -> list[Path]:
    """Rename what is marked as damaged below ``folder``, so that the next run makes it again.

    Not at once when the damage is found: other jobs of a run may wait for the file by its name, and would
    then end the run instead of failing one by one.

    Returns:
        Where the damaged files and folders are now.
    """
    marks = sorted(Path(folder).rglob(f"*{_MARK}"))
    units = [mark.with_name(mark.name.removesuffix(_MARK)) for mark in marks]
    moved = [_set_aside(unit) for unit in units if unit.exists()]
    for mark in marks:
        mark.unlink()
    return moved


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged")
    if aside.is_dir():
        shutil.rmtree(aside)
    return path.replace(aside)
