"""Sub-commands about named studies: which there are, and what none of them needs."""

import argparse
import json
from datetime import datetime
from itertools import groupby

from lorascope.cli.options import add_results, command
from lorascope.errors import LorascopeError


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    studies = command(commands, "studies", _studies, "list the named studies and what they found")
    prune = command(commands, "prune", _prune, "list, or remove, what no named study needs")
    prune.add_argument("--yes", action="store_true", help="remove it (default: only list it)")
    prune.add_argument(
        "--logs", metavar="DIR", help="folder of logs (default: logs, beside the default results)"
    )
    for each in (studies, prune):
        add_results(each)
        each.add_argument("--json", action="store_true", help="print JSON")


def _studies(options: argparse.Namespace) -> None:
    from lorascope.study.named import parts, study_folders

    study_folders(options.results)
    records = [_record(part) for part in parts(options.results)]
    if options.json:
        print(json.dumps(records, indent=2, allow_nan=False))
        return
    for record in records:
        print(f"{record['study']}/{record['part']}: {record['answer']}")
        if record["page"]:
            print(f"  {record['when'] or ''} {record['page']}")


def _record(part) -> dict:
    """Return what a study is known by, as plain JSON; what is not there yet is null."""
    record = {"study": part.study, "part": part.name, "answer": "no results yet", "cells": None, "best": None}
    record |= {"page": str(part.page) if part.page.exists() else None, "when": None}
    if not part.results.exists():
        return record
    written = datetime.fromtimestamp(part.results.stat().st_mtime).astimezone()
    record["when"] = written.isoformat(sep=" ", timespec="minutes")
    try:
        return record | (_of_gates(part) if part.is_sparse else _of_cells(part))
    except LorascopeError as error:
        # The others are listed all the same.
        return record | {"answer": f"unreadable: {error}"}


def _of_gates(part) -> dict:
    from lorascope.sparse.report import read_comparison
    from lorascope.sparse.verdict import headline

    return {"answer": headline(read_comparison(part.results.parent))}


def _of_cells(part) -> dict:
    from lorascope.report.summary import load_summary
    from lorascope.report.text import best_line, cells_line
    from lorascope.study.show import SCORES

    summary = load_summary(part.results.parent)
    statuses = [cell["status"] for cell in summary.cells]
    return {
        "answer": ". ".join(line for line in (cells_line(summary), best_line(summary)) if line),
        "cells": {status: statuses.count(status) for status in dict.fromkeys(statuses)},
        "best": summary.best and {name: summary.best[name] for name in SCORES},
    }


def _prune(options: argparse.Namespace) -> None:
    from lorascope.study.lock import hold_folder
    from lorascope.study.named import RESULTS
    from lorascope.study.prune import LOGS, remove, unneeded

    # Logs of one folder of results must not be judged by another one.
    logs = options.logs or (LOGS if options.results == RESULTS else None)
    if options.yes:
        hold_folder()
    found = unneeded(options.results, logs)
    if options.yes:
        remove(found, options.results, logs)
    if options.json:
        told = [{"kind": one.kind, "path": str(one.path), "bytes": one.size} for one in found]
        total = sum(one.size for one in found)
        print(json.dumps({"removed": options.yes, "bytes": total, "unneeded": told}, indent=2))
    else:
        _print_unneeded(found, options.yes)


def _print_unneeded(found: list, removed: bool) -> None:
    from rich import filesize

    for one in found:
        print(f"{filesize.decimal(one.size):>10}  {one.path}")
    kinds = [(kind, list(group)) for kind, group in groupby(sorted(found, key=_kind), _kind)]
    for kind, group in sorted(kinds, key=lambda pair: -_total(pair[1])):
        print(f"{kind}: {len(group):,}, {filesize.decimal(_total(group))}")
    verb = "removed" if removed else "not needed by any study; `lorascope prune --yes` removes them"
    said = f"{len(found):,} files and folders, {filesize.decimal(_total(found))}: {verb}"
    print(said if found else "nothing to remove: every file is needed by a study")


def _kind(one) -> str:
    return one.kind


def _total(group: list) -> int:
    return sum(one.size for one in group)
