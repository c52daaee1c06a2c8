"""One process at a time, also on mounts; a killed one leaves nothing that stops the others for good."""

import errno
import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_SECONDS = 0.2
# A holder renews its lease four times in this span; who does not is taken for dead.
LEASE_SECONDS = 60.0
_NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

Waiting = Callable[[], None]


@contextmanager
def hold(path: Path, waiting: Waiting | None) -> Iterator[bool]:
    """Hold a lock file; yield whether it is held.

    The kernel's lock, which dies with its holder; on file systems without one (Lustre mounted without
    ``flock``, some NFS) a lease that the holder keeps renewing. Should two processes ever hold the same
    lease, something is computed twice and nothing else happens: every write is safe without a lock.

    Args:
        path: the lock file; its folder is made.
        waiting: called once if another process holds it; None: do not wait, yield False.

    Raises:
        OSError: the lock file cannot be written.
    """
    try:
        handle = _flock(path, waiting)
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        with lease(_lease_of(path), waiting) as held:
            yield held
        return
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def is_held(path: Path) -> bool:
    """Return whether a process holds a lock file, without holding it longer than the question takes.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with path.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        renewed = _renewed(_lease_of(path))
        return renewed is not None and time.time() - renewed[1] / 1e9 < LEASE_SECONDS
    return False


def take_from_the_dead(path: Path) -> bool:
    """Take away the lease in a lock file's place if nobody renews it; return whether that was so.

    Where the kernel locks there is none. A holder that lives shows it in a quarter of a lease.
    """
    lease_path = _lease_of(path)
    seen, since = _renewed(lease_path), time.monotonic()
    if seen is None:
        return False
    while time.monotonic() - since < LEASE_SECONDS:
        time.sleep(POLL_SECONDS)
        now = _renewed(lease_path)
        if now != seen:
            return now is None
    _take_away(lease_path)
    return True


def _lease_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lease")


def _flock(path: Path, waiting: Waiting | None) -> int | None:
    """Return the open file that is the lock; None where another holds it and nobody waits."""
    while True:
        handle = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            if not _locked(handle, waiting):
                os.close(handle)
                return None
            # Who held it before may have removed the file: then it locks nothing any more.
            if _is_at(handle, path):
                return handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _open(path: Path, flags: int) -> int:
    """Open a file; its folder may be removed by another process at any time."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, flags, 0o666)
        except FileNotFoundError:
            continue


def _locked(handle: int, waiting: Waiting | None) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting is None:
            return False
        waiting()
        fcntl.flock(handle, fcntl.LOCK_EX)
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def lease(path: Path, waiting: Waiting | None, seconds: float | None = None) -> Iterator[bool]:
    """Hold a lease, a file that its holder renews; yield whether it is held. See :func:`hold`."""
    seconds = seconds or LEASE_SECONDS
    while not _take_lease(path):
        if waiting is None:
            yield False
            return
        waiting()
        _outwait(path, seconds)
    stop = threading.Event()
    renewal = threading.Thread(target=_renew, args=(path, seconds / 4, stop), daemon=True)
    renewal.start()
    try:
        yield True
    finally:
        stop.set()
        renewal.join()
        path.unlink(missing_ok=True)


def _take_lease(path: Path) -> bool:
    try:
        os.close(_open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _outwait(path: Path, seconds: float) -> None:
    """Wait until a lease is given back, or take away one that has not been renewed for some seconds.

    By the waiter's own watch: clocks of machines differ.
    """
    seen, since = _renewed(path), time.monotonic()
    while seen is not None and time.monotonic() - since < seconds:
        time.sleep(POLL_SECONDS)
        if (now := _renewed(path)) != seen:
            seen, since = now, time.monotonic()
    if seen is not None:
        _take_away(path)


def _take_away(path: Path) -> None:
    # Renamed first, so that only one of several waiters removes it.
    stale = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    with suppress(FileNotFoundError):
        path.rename(stale)
        stale.unlink()


def _renewed(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_mtime_ns


def _renew(path: Path, pause: float, stop: threading.Event) -> None:
    while not stop.wait(pause):
        try:
            os.utime(path)
        except OSError:
            return  # another process took it for dead
