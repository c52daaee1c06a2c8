"""One run at a time in a folder; what a killed run or a wrong clock left behind is seen to first."""

import atexit
import json
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.files import write_bytes
from lorascope.leftovers import bring_back_from_the_future, sweep
from lorascope.locks import hold, is_held, take_from_the_dead

LOCK = Path(".snakemake", "lorascope.lock")

# What nobody refers to is closed, and with it goes the lock.
_held: list[ExitStack] = []


@dataclass(frozen=True)
class Run:
    """A run that holds a folder: when it began (local time, ISO 8601), and how many cores it has."""

    began: str
    cores: int | None


def hold_folder(cores: int | None = None) -> None:
    """Lock the working directory until this process ends, however it ends.

    Snakemake's own lock is a file that survives kill -9, and every later run stops at it until somebody
    removes it by hand; the kernel drops this one. On a file system without locks of the kernel, the lease of
    a run that was killed is waited for, and taken away.

    Args:
        cores: of the run, for who asks about it.

    Raises:
        LorascopeError: another run holds the folder, or it cannot be locked.
    """
    held = ExitStack()
    try:
        is_ours = _enter(held) or (take_from_the_dead(LOCK) and _enter(held))
    except OSError as error:
        raise LorascopeError(f"{LOCK}: {error.strerror}; see to it, nothing can run here") from None
    if not is_ours:
        raise LorascopeError(f"another snakemake is running in {Path.cwd()}; wait for it or stop it")
    LOCK.write_text(json.dumps(asdict(Run(datetime.now().astimezone().isoformat(timespec="seconds"), cores))))
    _held.append(held)
    # The kernel would do without, a lease would have to be waited for.
    atexit.register(held.close)


def _enter(held: ExitStack) -> bool:
    # Who asks for the run (below) holds the lock for an instant.
    for _ in range(5):
        if held.enter_context(hold(LOCK, None)):
            return True
        time.sleep(0.1)
    return False


def run_here() -> Run | None:
    """Return the run that holds the working directory; None where none does."""
    return Run(**json.loads(LOCK.read_text())) if is_held(LOCK) else None


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
