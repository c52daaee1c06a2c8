"""How long jobs take: the benchmark records that jobs leave, and what they let expect of others."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path, PurePath

LOGS = "logs"
_KEY = re.compile(r"[0-9a-f]{10}")

Kind = tuple[str, ...]


def kind_of(record: str) -> Kind:
    """Return the kind of job that a benchmark record belongs to: data set, rule, and what it works on.

    ``logs/zoo/train/stats/all.mlp.0123456789.seeds-0-2.tsv`` → ``("zoo", "train", "stats", "all", "mlp")``.
    """
    path = PurePath(record).with_suffix("")
    folders = path.parts[path.parts.index(LOGS) + 1 : -1]
    if folders[0] == "studies":
        folders = folders[2:]
    if folders[0] == "sparse":
        folders = ("/".join(folders[:2]), *folders[2:])
    names = path.name.split(".")
    key = next((place for place, name in enumerate(names) if _KEY.fullmatch(name)), len(names))
    return (*folders, *names[:key])


class Durations:
    """Seconds of finished jobs, by kind.

    A kind that never ran is expected to take what the kinds most like it took.
    """

    def __init__(self):
        self._seconds: dict[Kind, list[float]] = {}
        self._expected: dict[Kind, float | None] = {}

    def add(self, kind: Kind, seconds: float) -> None:
        """Note one finished job."""
        self._seconds.setdefault(kind, []).append(seconds)
        self._expected.clear()

    def expected(self, kind: Kind) -> float | None:
        """Return the seconds that a job of a kind should take; None where nothing like it ever finished."""
        if kind not in self._expected:
            self._expected[kind] = self._look_up(kind)
        return self._expected[kind]

    def _look_up(self, kind: Kind) -> float | None:
        alike: dict[int, list[float]] = {}
        for other, seconds in self._seconds.items():
            if other[1:2] == kind[1:2]:
                alike.setdefault(len(set(other) & set(kind)), []).extend(seconds)
        if not alike:
            return None
        best = alike[max(alike)]
        return sum(best) / len(best)

    def left(self, kinds: Iterable[Kind]) -> float | None:
        """Return the seconds that some jobs should take one after the other; None where too little is known.

        A kind unlike all that finished is taken for a job of average length.
        """
        expected = [self.expected(kind) for kind in kinds]
        known = [seconds for seconds in expected if seconds is not None]
        every = [seconds for found in self._seconds.values() for seconds in found]
        if not every:
            return 0.0 if not expected else None
        return sum(known) + (len(expected) - len(known)) * sum(every) / len(every)


def recorded(records: Iterable[str | Path]) -> Durations:
    """Read benchmark records; what cannot be read is left out."""
    durations = Durations()
    for record in records:
        seconds = _seconds(Path(record))
        if seconds is not None:
            durations.add(kind_of(str(record)), seconds)
    return durations


def all_recorded() -> Durations:
    """Read all benchmark records below the working directory's logs."""
    return recorded(Path(LOGS).rglob("*.tsv"))


def _seconds(record: Path) -> float | None:
    """Return the wall-clock seconds of a benchmark record, of the last try; None where there is no record."""
    try:
        with record.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return float(rows[-1]["s"])
    except (OSError, LookupError, ValueError):
        return None
