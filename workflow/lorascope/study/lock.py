"""One run at a time in a folder; what a killed run or a wrong clock left behind is seen to first."""

import fcntl
from pathlib import Path
from typing import IO

from lorascope.errors import LorascopeError
from lorascope.files import write_bytes
from lorascope.leftovers import bring_back_from_the_future, sweep

LOCK = Path(".snakemake", "lorascope.lock")

# A file that nobody refers to is closed, and with it goes the lock.
_held: list[IO] = []


def hold_folder() -> None:
    """Lock the working directory until this process ends, however it ends.

    Snakemake's own lock is a file that survives kill -9, and every later run stops at it until somebody
    removes it by hand; the kernel drops this one.

    Raises:
        LorascopeError: another run holds the folder.
    """
    LOCK.parent.mkdir(exist_ok=True)
    file = LOCK.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise LorascopeError(
            f"another snakemake is running in {Path.cwd()}; wait for it or stop it"
        ) from None
    _held.append(file)


def start_run(results: str) -> None:
    """Hold the working directory, and make sure that results can be written there.

    Raises:
        LorascopeError: another run holds the folder, or nothing can be written.
    """
    hold_folder()
    try:
        write_bytes(Path(results, ".writable"), b"")
        Path(results, ".writable").unlink()
    except OSError as error:
        raise LorascopeError(f"{results}: {error.strerror}; results cannot be written there") from None
    sweep(results)
    bring_back_from_the_future(results)
