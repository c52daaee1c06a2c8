"""How long does snakemake take to plan a large study?

    python benchmarks/dag.py

makes four small data sets in the published schema (planning looks at names and sizes, not at how many
adapters there are), asks for a dry run of all representations × three layer sets × ten seeds on them, with
layers in groups of every size, and writes dag.md into benchmarks/results. Python and snakemake start anew for
every dry run; how long they take to say their version is taken off for the DAG's own share.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import yaml
from extract import HERE, machine

from lorascope.adapters.layer_sets import GROUPINGS
from lorascope.features.registry import REPRESENTATIONS

sys.path.append(str(HERE.parent / "tests"))
from published import NARROW, make_dataset, make_weights

ADAPTERS, SEEDS = 30, 10
SETTINGS = {
    "dataset": ["one", "two", "three", "four"],
    "representations": list(REPRESENTATIONS),
    "probes": ["mlp", "gl_net"],
    "layer_sets": ["all", "visual", "text"],
    "seeds": SEEDS,
}
HEADER = "| layer groups | jobs | seconds | of processor | seconds without the start |"
# Statistics alone: writing thousands of jobs to the screen takes longer than planning them.
QUIET = ["--quiet", "rules"]
COMMAND = ["snakemake", "--snakefile", str(HERE.parent / "Snakefile"), "--cores", "1", "--dry-run", *QUIET]


def make_study(folder: Path) -> None:
    """Write the data sets, which differ, and the settings."""
    for seed, name in enumerate(SETTINGS["dataset"]):
        make_dataset(make_weights(ADAPTERS, NARROW, seed=seed)).save_to_disk(folder / name)
    datasets = {name: {"source": "disk", "path": str(folder / name)} for name in SETTINGS["dataset"]}
    (folder / "study.yaml").write_text(yaml.safe_dump({**SETTINGS, "datasets": datasets}))


def dry_run(folder: Path, *settings: str) -> tuple[float, float, int]:
    """Return seconds and processor seconds of a dry run from start to end, and how many jobs it plans."""
    words = [*COMMAND, "--directory", str(folder), "--configfile", str(folder / "study.yaml")]
    started, before = time.perf_counter(), processor_seconds()
    done = subprocess.run([*words, "--config", *settings], capture_output=True, text=True, check=True)
    seconds, of_processor = time.perf_counter() - started, processor_seconds() - before
    lines = (done.stdout + done.stderr).splitlines()
    total = [line.split()[1] for line in lines if line.startswith("total ")][-1]
    return seconds, of_processor, int(total)


def start() -> float:
    """Return seconds that snakemake takes to start and do nothing."""
    started = time.perf_counter()
    subprocess.run(["snakemake", "--version"], capture_output=True, check=True)
    return time.perf_counter() - started


def processor_seconds() -> float:
    """Return what the processes that this one started and waited for have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(folder: Path, groupings: list[str], repeats: int) -> list[str]:
    """Return the rows of the table: layer groups, jobs, and seconds of the fastest of some dry runs."""
    make_study(folder)
    idle = min(start() for _ in range(repeats))
    rows = []
    for grouping in groupings:
        runs = [dry_run(folder, f"grouping={grouping}") for _ in range(repeats)]
        seconds, of_processor, jobs = min(runs)
        rows.append(f"| {grouping} | {jobs:,} | {seconds:.1f} | {of_processor:.1f} | {seconds - idle:.1f} |")
    return rows


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groupings", nargs="+", choices=GROUPINGS, default=GROUPINGS, help="to measure")
    parser.add_argument("--repeats", type=int, default=3, help="dry runs of which the fastest counts")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the table goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.groupings, options.repeats)
    cells = f"{len(SETTINGS['dataset'])} data sets × {len(SETTINGS['representations'])} representations"
    cells += f" × {len(SETTINGS['layer_sets'])} layer sets × {SEEDS} seeds"
    about = f"{cells}, from start to end of a dry run"
    lines = [
        f"{date.today()}, {machine()}: {about}.",
        "",
        HEADER,
        "| --- | ---: | ---: | ---: | ---: |",
        *rows,
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "dag.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
