"""Sub-commands on a store of shared features."""

import argparse
import json
import time
from pathlib import Path

from lorascope.cli.options import command
from lorascope.errors import LorascopeError

EXIT_DAMAGED = 1
SPARED_HOURS = 24.0


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    store = commands.add_parser("store", help="list, verify and clean a store of shared features")
    actions = store.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = command(actions, "ls", _ls, "list entries with their settings, size and age")
    verify = command(
        actions, "verify", _verify, "check the digest of every file; exit code 1 if one is wrong"
    )
    collect = command(actions, "gc", _gc, "list what no study refers to; remove it with --delete")
    for each in (listing, verify, collect):
        each.add_argument("place", metavar="DIR", help="the store: a folder or s3://bucket/prefix")
    listing.add_argument("--json", action="store_true", help="print JSON")
    collect.add_argument(
        "--study",
        nargs="+",
        required=True,
        metavar="DIR_OR_CONFIG",
        help="studies whose features stay: all of them",
    )
    collect.add_argument(
        "--hours", type=float, default=SPARED_HOURS, help="spare what is younger (default: %(default)g)"
    )
    collect.add_argument("--delete", action="store_true", help="remove; without it nothing is changed")


def _open(options: argparse.Namespace):
    """Return the store and all its entries."""
    from lorascope.store.inventory import entries
    from lorascope.store.places import open_place

    if "://" not in options.place and not Path(options.place).is_dir():
        raise LorascopeError(f"{options.place}: no such folder; give the features_dir of a study")
    place = open_place(options.place)
    return place, entries(place)


def _ls(options: argparse.Namespace) -> None:
    _, found = _open(options)
    whole = [entry for entry in found if entry.manifest]
    if options.json:
        rows = [{**entry.manifest, "age_seconds": round(time.time() - entry.modified)} for entry in whole]
        print(json.dumps(rows, indent=2, allow_nan=False))
        return
    _print_table(whole)
    others = len(found) - len(whole)
    print(f"{_counted(whole)}{f'; {others} not whole (being written, lost or damaged)' if others else ''}")


def _print_table(found: list) -> None:
    from rich import box, filesize
    from rich.console import Console
    from rich.table import Table

    if not found:
        return
    table = Table(box=box.SIMPLE)
    for name in ("representation", "layers", "data set", "adapters", "size", "age", "key"):
        table.add_column(
            name, justify="right" if name in ("adapters", "size", "age") else "left", no_wrap=True
        )
    for entry in found:
        about = entry.manifest
        table.add_row(
            entry.address.representation,
            entry.address.group,
            about.get("dataset", ""),
            str(about.get("adapters", "")),
            filesize.decimal(entry.size),
            _age(entry.modified),
            entry.address.key,
        )
    Console().print(table)


def _counted(found: list) -> str:
    from rich import filesize

    size = filesize.decimal(sum(entry.size for entry in found))
    return f"{len(found)} {'entry' if len(found) == 1 else 'entries'}, {size}"


def _age(modified: float) -> str:
    hours = max(time.time() - modified, 0) / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} d"


def _verify(options: argparse.Namespace) -> int:
    from lorascope.store.inventory import damages

    place, found = _open(options)
    count = 0
    for line in damages(place, found):
        print(line)
        count += 1
    published = sum(entry.is_published for entry in found)
    print(f"{published - count} of {published} entries are whole.")
    return EXIT_DAMAGED if count else 0


def _gc(options: argparse.Namespace) -> None:
    from rich import filesize

    from lorascope.store.collect import removable, remove
    from lorascope.study.references import referenced_keys

    # Written so that NaN is refused too.
    if not options.hours >= 0:
        raise LorascopeError(f"--hours {options.hours:g}: give zero or more")
    keys = set().union(*map(referenced_keys, options.study))
    place, found = _open(options)
    removals = list(removable(found, keys, time.time() - 3600 * options.hours))
    done = []
    for removal in removals:
        spared = options.delete and not remove(place, removal)
        said = "spared, a run is at it" if spared else removal.why
        print(f"{removal.entry.address.folder}: {filesize.decimal(removal.size)}, {said}")
        done += [] if spared else [removal]
    verb = "removed" if options.delete else "would be removed (--delete does it)"
    freed = filesize.decimal(sum(removal.size for removal in done))
    print(f"{freed} in {len(done)} of {len(found)} entries {verb}")
