"""Processes beside this one, which end when it does, however it ends."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from lorascope.errors import LorascopeError


@contextmanager
def process_pool(processes: int, work: str) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes.

    Args:
        processes: how many.
        work: what they do, for the message.

    Raises:
        LorascopeError: one of them was killed.
    """
    # Forked, a process would inherit the locks of libraries' threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, context, _end_with_parent) as pool:
            yield pool
    except BrokenProcessPool:
        raise LorascopeError(
            f"{work}: a process was killed, perhaps for want of memory; run again with fewer cores"
        ) from None


def _end_with_parent() -> None:
    """Watch the parent: after kill -9 of it, a pool's processes would wait for each other for ever."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
