"""What the extraction benchmark writes: its measurements, and whether what must hold does."""

import csv
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LIMIT, NINE = "limit", "nine together"
GROUP_AFTER_GROUP, TWO_PROCESSES = "nine, group after group", "nine, two processes"
BASELINE = "per-sample torch"

# Keys of a measurement, and headings of the table.
COLUMNS = {
    "adapters": "adapters",
    "measurement": "measurement",
    "seconds": "seconds, fastest",
    "cpu": "processor seconds",
    "ms_per_adapter": "processor ms per adapter",
    "times_limit": "× limit, median",
    "times_as_fast": "× as fast as one process, median",
    "parquet": "parquet's share",
    "megabytes": "peak MB",
}


class Requirement(NamedTuple):
    """A figure and its bound."""

    adapters: int
    what: str
    measured: float
    sign: str
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the figure keeps to its bound."""
        return {"≤": operator.le, "≥": operator.ge}[self.sign](self.measured, self.bound)


def requirements(rows: Sequence[dict]) -> list[Requirement]:
    """Return what must hold, as far as these rows can tell."""
    sizes = sorted({row["adapters"] for row in rows})
    found = [one for size in sizes for one in _at_one_size(rows, size)]
    nine = {row["adapters"]: row["ms_per_adapter"] for row in rows if row["measurement"] == NINE}
    if len(nine) > 1:
        few, many = min(nine), max(nine)
        what = f"processor time per adapter, times that at {few:,}"
        found.append(Requirement(many, what, nine[many] / nine[few], "≤", 1.15))
    return found


def _at_one_size(rows: Sequence[dict], adapters: int) -> Iterator[Requirement]:
    at = {row["measurement"]: row for row in rows if row["adapters"] == adapters}
    baseline = next((row for name, row in at.items() if name.startswith(BASELINE)), None)
    nine, two = at.get(NINE), at.get(TWO_PROCESSES)
    if nine:
        yield Requirement(adapters, "nine together, times the limit", nine["times_limit"], "≤", 3)
        yield Requirement(adapters, "parquet's share of the nine, %", 100 * nine["parquet"], "≤", 20)
        yield Requirement(adapters, "peak memory of the nine, MB", nine["megabytes"], "≤", 1500)
    if nine and baseline:
        yield Requirement(adapters, "baseline, times the nine", baseline["cpu"] / nine["cpu"], "≥", 50)
    if two:
        yield Requirement(adapters, "two processes, times as fast", two["times_as_fast"], "≥", 1.7)
    if two and adapters == 50_000:
        yield Requirement(adapters, "two processes, seconds", two["seconds"], "≤", 150)


def write_tables(rows: Sequence[dict], folder: Path, about: str) -> None:
    """Write extract.csv, and extract.md with ``about`` above its two tables."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "extract.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({key: _rounded(value) for key, value in row.items()} for row in rows)
    lines = [
        *(about, "", _line(COLUMNS.values()), f"|{' ---: | --- |' + ' ---: |' * (len(COLUMNS) - 2)}"),
        *(_line(_cells(row)) for row in rows),
        *("", "| adapters | must hold | bound | measured | |", "| ---: | --- | ---: | ---: | --- |"),
        *(_line(_verdict(one)) for one in requirements(rows)),
    ]
    (folder / "extract.md").write_text("\n".join(lines) + "\n")


def _rounded(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: dict) -> list[str]:
    return [
        f"{row['adapters']:,}",
        row["measurement"],
        *(f"{row[key]:.2f}" for key in ("seconds", "cpu", "ms_per_adapter", "times_limit")),
        f"{row['times_as_fast']:.2f}" if "times_as_fast" in row else "",
        f"{row['parquet']:.0%}" if "parquet" in row else "",
        f"{row['megabytes']:.0f}",
    ]


def _verdict(one: Requirement) -> list[str]:
    bound, verdict = f"{one.sign} {one.bound:,}", "holds" if one.holds else "does not hold"
    return [f"{one.adapters:,}", one.what, bound, f"{one.measured:,.3g}", verdict]
