"""What earlier runs leave behind: temp files without a writer, damaged files, times of another clock."""

import fcntl
import os
import shutil
import time
from contextlib import suppress
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


def bring_back_from_the_future(folder: str | os.PathLike) -> int:
    """Make what lies in the future below ``folder`` as new as now, in the order in which it was written.

    After a clock was set back, snakemake would take what it makes for older than what it was made from, and
    fail the job.

    Returns:
        How many files and folders these were.
    """
    now, ahead = time.time_ns(), {}
    for path in Path(folder).rglob("*"):
        # A job that outlived its run may take a file away meanwhile.
        with suppress(FileNotFoundError):
            then = path.lstat().st_mtime_ns
            if then > now and not path.is_symlink():
                ahead[path] = then
    offset = max(ahead.values(), default=now) - now
    for path, then in ahead.items():
        # Features shared with others (a hard link into their store) have another owner.
        with suppress(FileNotFoundError, PermissionError):
            os.utime(path, ns=(then - offset, then - offset))
    return len(ahead)


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
