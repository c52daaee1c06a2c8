"""How fast is feature extraction, measured against what no program could beat?

The limit is one pass of reading all weights, one sort of every row and one real FFT of every row. Against it
stand each representation, all nine together, one and two processes, and the plain per-sample torch baseline.
Every line is measured in a process of its own; its seconds leave out imports, its memory does not. Multiples
of the limit compare processor seconds, which other work on the machine disturbs least, and each run with a
run of the limit just before it; two processes are compared with one in the same way. The table has medians
of these, and seconds and memory of the fastest run.

    python benchmarks/extract.py --adapters 1000 10000

writes extract.csv and extract.md into benchmarks/results, with a table of what must hold.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import published_shape
from extract_tables import (
    BASELINE,
    GROUP_AFTER_GROUP,
    LIMIT,
    NINE,
    TWO_PROCESSES,
    requirements,
    write_tables,
)

from lorascope import computing

HERE = Path(__file__).parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# The limit takes its rows this many entries at a time, which is where sort and FFT were fastest.
LIMIT_ENTRIES = 1 << 16


class Clock:
    """Seconds since it was made: on the wall, and of this process on a processor."""

    def __init__(self):
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict:
        """Return both."""
        return {"seconds": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}


# measurements, each in its own process


def measure_limit(folder: str, n_adapters: int) -> dict:
    """Read, transform and sort every row once; nothing is kept."""
    import numpy as np

    # As in extraction: a large block once freed, the FFT's buffers are no longer paged in anew at each call.
    np.empty(24 << 20, np.uint8)
    clock = Clock()
    entries = np.empty(LIMIT_ENTRIES, np.float32)
    # numpy's real FFT is faster in float64 than in float32, conversion included.
    doubles = np.empty(LIMIT_ENTRIES, np.float64)
    frequencies = np.empty(LIMIT_ENTRIES, np.complex128)
    for group in published_shape.GROUPS:
        weights = published_shape.open_group(folder, group, n_adapters)
        for index, matrix in enumerate(weights.matrices):
            step = LIMIT_ENTRIES // matrix.size
            for start in range(0, n_adapters, step):
                values = weights.read(index, start, min(start + step, n_adapters)).reshape(-1, matrix.size)
                rows = entries[: values.size].reshape(values.shape)
                spectrum = frequencies[: len(rows) * (matrix.size // 2 + 1)].reshape(len(rows), -1)
                reals = doubles[: values.size].reshape(values.shape)
                np.copyto(rows, values)
                np.copyto(reals, values)
                np.fft.rfft(reals, axis=1, out=spectrum)
                rows.sort(axis=1)
    return clock.read()


def measure_extraction(folder: str, n_adapters: int, representations: list[str], groups: list[str]) -> dict:
    """Extract into parquet files, digests checked; ``parquet`` is the share of writing in the time."""
    from lorascope.features.extract import FeatureFile, extract

    writing = _time_the_writer()
    clock = Clock()
    for group in groups:
        weights = published_shape.open_group(folder, group, n_adapters, checked=True)
        extract(weights, [FeatureFile(name, _features(folder, name, group)) for name in representations])
    times = clock.read()
    return {**times, "parquet": sum(writing) / times["cpu"]}


def _features(folder: str, representation: str, group: str) -> Path:
    return Path(folder, "features", representation, f"{group}.parquet")


def _time_the_writer() -> list[float]:
    """Make the writers of parquet files collect the processor seconds that they take."""
    from pyarrow.parquet import ParquetWriter

    seconds = []

    def timed(function: Callable) -> Callable:
        def call(*arguments, **settings):
            clock = Clock()
            try:
                return function(*arguments, **settings)
            finally:
                seconds.append(clock.read()["cpu"])

        return call

    for name in ("__init__", "write_batch", "close"):
        setattr(ParquetWriter, name, timed(getattr(ParquetWriter, name)))
    return seconds


def measure_ensemble(folder: str) -> dict:
    """Read what makes up ``ensemble``, of both groups."""
    from lorascope.features.read import read_features
    from lorascope.features.registry import parts

    paths = [_features(folder, part, group) for part in parts("ensemble") for group in published_shape.GROUPS]
    clock = Clock()
    read_features(paths)
    return clock.read()


def measure_baseline(folder: str, n_adapters: int, sample: int) -> dict:
    """Time the per-sample baseline on the first ``sample`` adapters, scaled up to all."""
    import per_sample_torch
    import torch

    torch.set_num_threads(1)
    matrices = []
    for group in published_shape.GROUPS:
        weights = published_shape.open_group(folder, group, n_adapters)
        indices = range(len(weights.matrices))
        matrices += [torch.from_numpy(weights.read(index, 0, sample).copy()) for index in indices]
    clock = Clock()
    per_sample_torch.extract(matrices)
    return {name: value * n_adapters / sample for name, value in clock.read().items()}


MEASUREMENTS = {
    function.__name__: function
    for function in (measure_limit, measure_extraction, measure_ensemble, measure_baseline)
}


def measure_here(call: str) -> None:
    """Run the measurement that ``call`` names; print its result and this process's peak memory as JSON."""
    name, *arguments = json.loads(call)
    result = MEASUREMENTS[name](*arguments)
    print(json.dumps({**result, "megabytes": _peak_megabytes()}))


def _peak_megabytes() -> float:
    """Return the largest resident set of this process; ru_maxrss would count the parent at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


# the run


def in_own_process(function: Callable, *arguments) -> dict:
    """Run a measurement in a fresh single-threaded process."""
    command = [sys.executable, __file__, "--measure", json.dumps([function.__name__, *arguments])]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def in_processes(folder: str, n_adapters: int, representations: list[str], at_once: int) -> dict:
    """Extract each layer group in its own process, one after the other or both at once; imports count."""

    def one(group: str) -> dict:
        return in_own_process(measure_extraction, folder, n_adapters, representations, [group])

    clock = Clock()
    with ThreadPoolExecutor(at_once) as pool:
        runs = list(pool.map(one, published_shape.GROUPS))
    return {
        "seconds": clock.read()["seconds"],
        "cpu": sum(run["cpu"] for run in runs),
        "megabytes": max(run["megabytes"] for run in runs),
    }


def at_once_and_in_turn(folder: str, n_adapters: int, representations: list[str]) -> dict:
    """Extract both layer groups at once, right after one after the other: what disturbs disturbs both."""
    in_turn = in_processes(folder, n_adapters, representations, 1)
    at_once = in_processes(folder, n_adapters, representations, 2)
    return {**at_once, "times_as_fast": in_turn["seconds"] / at_once["seconds"]}


def measurements(folder: str, n_adapters: int, sample: int) -> dict[str, Callable[[], dict]]:
    """Return what to measure beside the limit, by name, in this order."""
    from lorascope.features.registry import of_matrices, parts

    computed = [name for name in of_matrices() if parts(name) == (name,)]
    groups = list(published_shape.GROUPS)
    extraction = (measure_extraction, folder, n_adapters)
    return {
        **{name: lambda name=name: in_own_process(*extraction, [name], groups) for name in computed},
        NINE: lambda: in_own_process(*extraction, computed, groups),
        "ensemble (read its parts)": lambda: in_own_process(measure_ensemble, folder),
        GROUP_AFTER_GROUP: lambda: in_processes(folder, n_adapters, computed, 1),
        TWO_PROCESSES: lambda: at_once_and_in_turn(folder, n_adapters, computed),
        f"{BASELINE} ({sample} adapters, scaled up)": lambda: in_own_process(
            measure_baseline, folder, n_adapters, sample
        ),
    }


def run(folder: str, n_adapters: int, repeats: int, sample: int, only: Sequence[str]) -> list[dict]:
    """Make the weights; return one row a measurement."""
    say(f"{n_adapters} adapters: writing weights")
    published_shape.write(folder, n_adapters)
    rows, limits = [], []
    for name, measure in measurements(folder, n_adapters, sample).items():
        if only and name not in only:
            continue
        pairs = [
            (in_own_process(measure_limit, folder, n_adapters), measure())
            for _ in range(1 if name.startswith(BASELINE) else repeats)
        ]
        limits += [limit for limit, _ in pairs]
        ratio = statistics.median(measured["cpu"] / limit["cpu"] for limit, measured in pairs)
        rows.append(_row(n_adapters, name, [measured for _, measured in pairs], ratio))
    return [_row(n_adapters, LIMIT, limits, 1.0), *rows]


def _row(n_adapters: int, name: str, runs: list[dict], times_limit: float) -> dict:
    """Return a row of the table: the fastest run, for what disturbs a measurement only ever adds to it."""
    fastest = dict(min(runs, key=lambda run: run["cpu"]))
    if "times_as_fast" in fastest:
        fastest["times_as_fast"] = statistics.median(run["times_as_fast"] for run in runs)
    seconds = f"{fastest['seconds']:.2f} s, on the processor {fastest['cpu']:.2f} s"
    say(f"  {name}: {seconds}, {times_limit:.2f} × limit")
    return {
        "adapters": n_adapters,
        "measurement": name,
        **fastest,
        "ms_per_adapter": 1000 * fastest["cpu"] / n_adapters,
        "times_limit": times_limit,
    }


def say(line: str) -> None:
    """Print progress at once."""
    print(line, flush=True)


# the command


def machine() -> str:
    """Return this machine in words, and versions of what was measured."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "pyarrow", "torch")]
    return f"{computing.machine()}, {', '.join(versions)}"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapters", type=int, nargs="+", default=[1000], help="data set sizes")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of each line, each after one of the limit"
    )
    parser.add_argument("--sample", type=int, default=10, help="adapters that the baseline is timed on")
    parser.add_argument("--only", nargs="*", default=[], help="measurements, beside the limit (default: all)")
    parser.add_argument("--scratch", type=Path, help="where to make the weights (0.4 MB an adapter; deleted)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the tables go")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure_here(options.measure)
        return
    rows, load = [], os.getloadavg()[0]
    for n_adapters in options.adapters:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            sample = min(options.sample, n_adapters)
            rows += run(folder, n_adapters, options.repeats, sample, options.only)
        write_tables(rows, options.out, _about(options, load))
    for one in requirements(rows):
        say(f"{one.adapters} adapters: {one.what}: {one.measured:.3g}, must be {one.sign} {one.bound}")


def _about(options: argparse.Namespace, load: float) -> str:
    """Return date, machine, and how to measure the same again."""
    made = f"Made by `{_command(options)}`."
    return f"{datetime.date.today()}, {machine()}, load average {load:.1f} at the start. {made}"


def _command(options: argparse.Namespace) -> str:
    words = ["python", "benchmarks/extract.py", "--adapters", *map(str, options.adapters)]
    words += ["--repeats", str(options.repeats), "--sample", str(options.sample)]
    return shlex.join(words + (["--only", *options.only] if options.only else []))


if __name__ == "__main__":
    main()
