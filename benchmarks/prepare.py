"""How much memory and time does `lorascope prepare` take on a data set of the published schema?

    python benchmarks/prepare.py --adapters 10000

makes a folder as datasets' save_to_disk writes it (0.6 MB of disk an adapter, with what prepare writes 1 MB),
prepares it in a process of its own, and writes prepare.md into benchmarks/results.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import datasets
from extract import HERE, machine

sys.path.append(str(HERE.parent / "tests"))
import published

PART = 500
PROGRAM = """
import sys
from lorascope.cli import main
code = main(sys.argv[1:])
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
sys.exit(code)
"""


def write_set(folder: Path, n_adapters: int) -> int:
    """Write a saved data set part by part; return its size in bytes."""
    parts = []
    for first in range(0, n_adapters, PART):
        weights = published.make_weights(min(PART, n_adapters - first), seed=first)
        published.make_dataset(weights).save_to_disk(folder / f"part-{first}")
        parts.append(datasets.load_from_disk(str(folder / f"part-{first}")))
    # The parts' files are taken over as they are.
    datasets.concatenate_datasets(parts).save_to_disk(folder / "set")
    return sum(path.stat().st_size for path in (folder / "set").iterdir())


def measure(folder: Path, n_adapters: int) -> list[str]:
    """Return one row of the table: adapters, GB on disk, seconds, peak MB."""
    size = write_set(folder, n_adapters)
    settings = json.dumps({"source": "disk", "path": str(folder / "set")})
    arguments = ["prepare", "--dataset", "bench", "--settings", settings, "--out", str(folder / "data")]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - started
    return [f"{n_adapters:,}", f"{size / 1e9:.1f}", f"{seconds:.0f}", f"{int(done.stdout):,}"]


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapters", type=int, nargs="+", default=[2000, 10000], help="data set sizes")
    parser.add_argument("--scratch", type=Path, help="where to make the data sets (deleted)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the table goes")
    options = parser.parse_args()
    lines = [
        f"{date.today()}, {machine()}.",
        "",
        "| adapters | GB on disk | seconds | peak MB |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for n_adapters in options.adapters:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            lines.append(f"| {' | '.join(measure(Path(folder), n_adapters))} |")
        print(f"{lines[-1]} memory must stay below 2,000 MB", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "prepare.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
