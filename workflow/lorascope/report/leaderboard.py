"""The leaderboard: which method reads an adapter best, study by study, as a page in Markdown."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from lorascope.computing import machine
from lorascope.errors import LorascopeError
from lorascope.files import write_bytes
from lorascope.report import text
from lorascope.report.numbers import NOTHING, interval, share
from lorascope.report.summary import Summary, load_summary
from lorascope.wording import plural

# Labels permuted, or none looked at: what every method must beat.
CONTROLS = ("permuted", "majority")
HEAD = """# Leaderboard

Which method reads an adapter best. Made by `lorascope leaderboard` from the results of these studies;
`make leaderboard` runs them first.
"""
LEGEND = """
Test accuracy in per cent: mean ± standard deviation over seeds, [95 % interval for other test adapters].
**Bold**: the cell that the validation part chose. Controls stand after the methods: `permuted` learns
randomly permuted labels. Cells that have not been run stand last.
"""


def write_leaderboard(summary_dirs: Sequence[str | Path], out: str | Path) -> Path:
    """Write the method tables of some studies into one page.

    Args:
        summary_dirs: summary folders, a section each.
        out: the page.

    Raises:
        LorascopeError: a study has no results, or is named twice.
    """
    summaries = [load_summary(folder) for folder in summary_dirs]
    names = [summary.name for summary in summaries]
    if twice := [name for name in names if names.count(name) > 1]:
        raise LorascopeError(f"{twice[0]} is there twice; name each study once")
    today = f"\n{datetime.datetime.now(tz=datetime.UTC).date()}, {machine()}.\n"
    page = "".join([HEAD, today, LEGEND, *map(study_section, summaries)])
    write_bytes(out, page.encode())
    return Path(out)


def study_section(summary: Summary) -> str:
    """Return the section of one study: its size, its best cell, its table, the best sooner first."""
    results = summary.results
    found = {(cell["representation"], cell["probe"]) for cell in summary.found}
    rows = sorted(summary.rows, key=lambda row: (row not in found, row[1] in CONTROLS))
    ranked = [row for row in rows if row in found and row[1] not in CONTROLS]
    heads = ["", "representation", "probe", *summary.layer_sets, "seconds a run"]
    lines = [
        f"\n## {summary.name}\n",
        f"{plural(results['manifest']['adapters'], 'adapter')}, {len(results['classes'])} classes, "
        f"{plural(results['test_adapters'], 'test adapter')}; chance {share(results['chance'])} %. "
        f"{text.cells_line(summary)}.\n",
        *(f"{line}.\n" for line in (text.best_line(summary), text.drop_line(summary)) if line),
        _line(heads),
        _line(["---:", "---", "---", *["---"] * len(summary.layer_sets), "---:"]),
    ]
    places = [str(ranked.index(row) + 1) if row in ranked else "" for row in rows]
    lines += [_line(_row(summary, place, row)) for place, row in zip(places, rows, strict=True)]
    return "\n".join(lines) + "\n"


def _row(summary: Summary, place: str, row: tuple[str, str]) -> list[str]:
    cells = [summary.cell(row, layer_set) for layer_set in summary.layer_sets]
    times = [cell["seconds_mean"] for cell in cells if cell and cell["seeds"]]
    return [
        place,
        *row,
        *(_accuracy(summary, cell) for cell in cells),
        f"{times[0]:.1f}" if times else NOTHING,
    ]


def _accuracy(summary: Summary, cell: dict | None) -> str:
    if cell is None or not cell["seeds"]:
        return cell["status"] if cell else NOTHING
    std = cell["test_accuracy_std"]
    mean = share(cell["test_accuracy_mean"]) + ("" if std is None else f" ± {share(std)}")
    within = interval(cell["test_accuracy_adapters_low"], cell["test_accuracy_adapters_high"])
    return f"{f'**{mean}**' if cell is summary.best else mean} {within}"


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"
