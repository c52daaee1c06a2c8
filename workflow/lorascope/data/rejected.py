"""Adapters of a source that cannot be used: listed with the reason, and refused where they are too many."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from lorascope.errors import LorascopeError
from lorascope.files import atomic_path
from lorascope.wording import plural

REJECTED_FILE = "rejected.csv"


def rejected_words(origin: dict) -> str:
    """Say how much of a source was left out, as its description tells: "2 of 40 rows"."""
    total = plural(origin["files"], "file") if "files" in origin else plural(origin["rows"], "row")
    return f"{origin['rejected']} of {total}"


@dataclass(frozen=True)
class Rejection:
    """What of a source is left out.

    Attributes:
        where: names the source in messages.
        unit: what an entry is: ``file`` or ``row``.
        total: entries of the source.
        entries: (which one, reason).
    """

    where: str
    unit: str
    total: int
    entries: Sequence[tuple[str, str]]

    def write(self, folder: Path) -> None:
        """Write ``rejected.csv``: a row an entry."""
        names, reasons = ([entry[place] for entry in self.entries] for place in (0, 1))
        table = pa.table({self.unit: pa.array(names, pa.string()), "reason": pa.array(reasons, pa.string())})
        with atomic_path(folder / REJECTED_FILE) as temp:
            pa.csv.write_csv(table, os.fspath(temp))

    def check(self, limit: float, folder: Path) -> None:
        """Refuse a source of which a larger share is left out than ``limit``, or all.

        Raises:
            LorascopeError: which names the first, and where the others are listed.
        """
        count, listed = len(self.entries), folder / REJECTED_FILE
        if count > limit * self.total:
            name, reason = self.entries[0]
            raise LorascopeError(
                f"{self.where}: {count} of {self.total} {self.unit}s rejected, more than max_rejected "
                f"({limit:g}) allows; the first: {name}: {reason}; all: {listed}"
            )
        if count == self.total:
            raise LorascopeError(f"{self.where}: all {self.total} {self.unit}s rejected; see {listed}")
