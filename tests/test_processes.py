"""Processes of a pool: none outlives the one that started it, and none that is killed goes unnoticed."""

import os
import signal
import subprocess
import sys

import psutil

from lorascope.processes import process_pool

PARENT = """
import time
from lorascope.processes import process_pool

with process_pool(2, "tests") as pool:
    waiting = [pool.submit(time.sleep, 600) for _ in range(2)]
    print(*pool._processes, flush=True)
    waiting[0].result()
"""


def test_they_end_with_the_one_that_started_them_and_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        workers = [psutil.Process(int(number)) for number in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 2
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


def test_one_that_is_killed_is_told_in_one_line(refused):
    told = "drawing: a process was killed.* run again with fewer cores"
    with refused(told), process_pool(1, "drawing") as pool:
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()
