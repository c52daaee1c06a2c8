"""The jobs of a run that failed, and the lines that say so."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorascope.logs import error_in, last_line

_SILENT = "ended without a word: killed, perhaps for want of memory"
_SHOWN = 8


@dataclass(frozen=True)
class Failure:
    """A job that failed.

    Attributes:
        what: the job in words.
        why: one line.
        log: where more is told; empty where it has no log.
    """

    what: str
    why: str
    log: str

    @property
    def is_bug(self) -> bool:
        """Whether the job ended with a traceback."""
        return "Traceback (most recent call last)" in self.text()

    def text(self) -> str:
        """Return what the log holds."""
        return Path(self.log).read_text(errors="replace") if self.log else ""

    @classmethod
    def of(cls, what: str, logs: Sequence[str], message: str | None) -> "Failure":
        """Look up why a job failed: its log's error, else its last line, else snakemake's message."""
        log = next((log for log in logs if Path(log).is_file()), "")
        why = log and (error_in(log) or last_line(log))
        return cls(what, why or " ".join((message or _SILENT).split()), log)

    def lines(self) -> list[str]:
        """What failed, why, and where its log is."""
        return [f"Failed: {self.what}", f"  {self.why}"] + ([f"  log: {self.log}"] if self.log else [])


def closing_lines(failures: Sequence[Failure]) -> list[str]:
    """Return the last lines of a run with failed jobs; the first failures alone where there are many."""
    lines = [line for failure in failures[:_SHOWN] for line in failure.lines()]
    if more := failures[_SHOWN:]:
        lines.append(f"and {len(more)} more failed; `lorascope progress` names them")
    return [*lines, f"What is done is kept. Once it is seen to, go on with: {same_command()}"]


def same_command() -> str:
    """Return the command line of this process, as one would type it again."""
    program, *arguments = sys.argv
    return shlex.join([Path(program).name, *arguments])
