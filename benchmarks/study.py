"""How long does a whole study of the published shape take, from the data set on disk to the page?

    python benchmarks/study.py --adapters 1000 --cores 2

writes a data set in the published schema, runs the nine representations × two layer sets × ten seeds in a
folder of its own, and writes study.md into benchmarks/results: wall-clock, and processor seconds per step.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from extract import HERE, machine

sys.path.append(str(HERE.parent / "tests"))
import published
from lorascope.features.registry import of_matrices

SIGNAL = 0.05
BIN = Path(sys.executable).parent


def run_study(folder: Path, n_adapters: int, cores: int, seeds: int) -> tuple[float, dict[str, float]]:
    """Return seconds on the wall, and seconds by step (its jobs' wall-clock added up)."""
    published.make_dataset(published.make_weights(n_adapters, signal=SIGNAL)).save_to_disk(folder / "set")
    settings = {
        "dataset": "bench",
        "datasets": {"bench": {"source": "disk", "path": "set", "label": "category_label"}},
        "representations": list(of_matrices()),
        "seeds": seeds,
    }
    (folder / "study.json").write_text(json.dumps(settings))
    profile = HERE.parent / "profiles" / "default"
    command = [BIN / "snakemake", "--snakefile", HERE.parent / "Snakefile", "--cores", str(cores)]
    options = ["--configfile", "study.json", "--workflow-profile", profile, "--directory", folder]
    started = time.perf_counter()
    with (folder / "run.log").open("w") as log:
        done = subprocess.run([*command, *options], cwd=folder, stdout=log, stderr=log, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit((folder / "run.log").read_text()[-2000:])
    return seconds, _seconds_by_step(folder / "logs" / "bench")


def _seconds_by_step(logs: Path) -> dict[str, float]:
    steps: dict[str, float] = {}
    for path in logs.rglob("*.tsv"):
        step = path.relative_to(logs).parts[0].removesuffix(".tsv")
        with path.open() as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        steps[step] = steps.get(step, 0.0) + float(row["s"])
    return dict(sorted(steps.items(), key=lambda step: -step[1]))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapters", type=int, default=1000, help="size of the data set")
    parser.add_argument("--seeds", type=int, default=10, help="runs of each cell")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="cores that snakemake may use")
    parser.add_argument("--scratch", type=Path, help="where to work (deleted)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the table goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        seconds, steps = run_study(Path(folder), options.adapters, options.cores, options.seeds)
    cells = f"{len(of_matrices())} representations, 2 layer sets, {options.seeds} seeds"
    lines = [
        f"{date.today()}, {machine()}.",
        "",
        f"{options.adapters:,} adapters, {cells}, {options.cores} cores: "
        f"{seconds:.0f} s from the data set to the page.",
        "",
        "| step | seconds of its jobs |",
        "| --- | ---: |",
        *(f"| {step} | {total:.1f} |" for step, total in steps.items()),
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "study.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
