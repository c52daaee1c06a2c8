"""One run at a time in a folder; what a killed run or a wrong clock left behind is seen to first."""

import fcntl
import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from lorascope.errors import LorascopeError
from lorascope.files import write_bytes
from lorascope.leftovers import bring_back_from_the_future, sweep

LOCK = Path(".snakemake", "lorascope.lock")

# A file that nobody refers to is closed, and with it goes the lock.
_held: list[IO] = []


@dataclass(frozen=True)
class Run:
    """A run that holds a folder: when it began (local time, ISO 8601), and how many cores it has."""

    began: str
    cores: int | None


def hold_folder(cores: int | None = None) -> None:
    """Lock the working directory until this process ends, however it ends.

    Snakemake's own lock is a file that survives kill -9, and every later run stops at it until somebody
    removes it by hand; the kernel drops this one.

    Args:
        cores: of the run, for who asks about it.

    Raises:
        LorascopeError: another run holds the folder.
    """
    LOCK.parent.mkdir(exist_ok=True)
    file = LOCK.open("a")
    if not _lock(file):
        file.close()
        raise LorascopeError(f"another snakemake is running in {Path.cwd()}; wait for it or stop it")
    file.truncate(0)
    file.write(json.dumps(asdict(Run(datetime.now().astimezone().isoformat(timespec="seconds"), cores))))
    file.flush()
    _held.append(file)


def _lock(file: IO) -> bool:
    # Who asks for the run (below) holds the lock for an instant.
    for _ in range(5):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def run_here() -> Run | None:
    """Return the run that holds the working directory; None where none does."""
    try:
        with LOCK.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except OSError:
        return Run(**json.loads(LOCK.read_text()))
    return None


def start_run(results: str, cores: int | None = None) -> None:
    """Hold the working directory, and make sure that results can be written there.

    Raises:
        LorascopeError: another run holds the folder, or nothing can be written.
    """
    hold_folder(cores)
    try:
        write_bytes(Path(results, ".writable"), b"")
        Path(results, ".writable").unlink()
    except OSError as error:
        raise LorascopeError(f"{results}: {error.strerror}; results cannot be written there") from None
    sweep(results)
    bring_back_from_the_future(results)
