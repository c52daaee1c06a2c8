"""Write the table of faults of a test run into a document.

    python tests/faults/table.py FAULTS.json… PAGE.md

The table stands between two markers; the rest of the document stays as it is.
"""

import json
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import numpy
import snakemake

from lorascope.computing import machine

START, END = "<!-- faults -->", "<!-- end of faults -->"
ROOT = Path(__file__).resolve().parents[2]


def rows(entries: list[dict]) -> list[str]:
    """Return one line of the table for each fault, in the order in which they were tried."""
    return [
        _row(fault, [entry for entry in entries if entry["fault"] == fault])
        for fault in dict.fromkeys(entry["fault"] for entry in entries)
    ]


def _row(fault: str, entries: list[dict]) -> str:
    tried = [entry for entry in entries if entry["tried"]]
    if not tried:
        return f"| {fault} | 0 | | | not tried: {_cell(entries[0]['reason'])} |"
    hits = Counter(entry["hit"] for entry in tried)
    hit = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in hits.most_common())
    seen = "; ".join(dict.fromkeys(f"`{entry['seen']}`" for entry in tried if entry["seen"]))
    failures = [entry["failure"] for entry in tried if entry["failure"]]
    outcome = f"**FAILED**: {_cell(failures[0])}" if failures else "recovered"
    return f"| {fault} | {len(tried)} | {_cell(hit)} | {_cell(seen)} | {outcome} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def table(entries: list[dict]) -> str:
    """Return the table under a line that says when, where and on which commit it was made."""
    describe = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    about = f"{date.today()}, commit {commit}, {machine()}, snakemake {snakemake.__version__}"
    lines = [f"{about}, numpy {numpy.__version__}.", "", "| fault | tries | hit | seen | outcome |"]
    return "\n".join([*lines, "| --- | ---: | --- | --- | --- |", *rows(entries)])


def main(*paths: str) -> None:
    *faults, page = paths
    text = Path(page).read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    content = table([entry for path in faults for entry in json.loads(Path(path).read_text())])
    Path(page).write_text(f"{before}{START}\n\n{content}\n\n{END}{after}")


if __name__ == "__main__":
    main(*sys.argv[1:])
