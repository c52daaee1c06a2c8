"""How long do the tables and the page of a finished study take?

    python benchmarks/report.py

writes the results of nine representations × two layer sets × ten seeds on 1,000 made-up adapters, in exactly
the files that training writes, runs aggregation and the page on them, and writes report.md into
benchmarks/results.
"""

import argparse
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from extract import HERE, machine

from lorascope.report.page import write_report
from lorascope.stats.aggregate import aggregate

sys.path.append(str(HERE.parent / "tests"))
from synthetic_study import default_accuracies, make_study

SEEDS, ADAPTERS = 10, 1000


def measure(folder: Path, processes: int) -> list[str]:
    """Return the rows of the table: step, seconds."""
    study = make_study(folder / "study", default_accuracies(), seeds=SEEDS, block=SEEDS, adapters=ADAPTERS)
    started = time.perf_counter()
    aggregate(study, folder / "summary")
    aggregated = time.perf_counter()
    write_report(folder / "summary", folder / "report", None, processes=processes)
    times = {"tables": aggregated - started, "page, figures, LaTeX": time.perf_counter() - aggregated}
    return [f"| {step} | {seconds:.1f} |" for step, seconds in times.items()]


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="that draw the figures")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the table goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.processes)
    cells = len(default_accuracies())
    about = f"{cells} cells × {SEEDS} seeds, {ADAPTERS:,} adapters, {options.processes} processes"
    lines = [f"{date.today()}, {machine()}: {about}.", "", "| step | seconds |", "| --- | ---: |", *rows]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
