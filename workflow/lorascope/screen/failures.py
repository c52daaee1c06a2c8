"""The jobs of a run that failed, and the lines that say so."""

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorascope.logs import error_in, last_line

_SIGNAL = re.compile(r"died with <Signals\.(\w+)")
_MEMORY = "; perhaps there was not enough memory: try fewer --cores"
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

    @property
    def is_stop(self) -> bool:
        """Whether the job ended because somebody typed Ctrl-C."""
        return bool(self.log) and last_line(self.log) == "KeyboardInterrupt"

    def text(self) -> str:
        """Return what the log holds."""
        return Path(self.log).read_text(errors="replace") if self.log else ""

    @classmethod
    def of(cls, what: str, logs: Sequence[str], deaths: Sequence[str], message: str | None) -> "Failure":
        """Look up why a job failed: its log's error, the signal that killed it, the log's last line.

        Args:
            what: the job in words.
            logs: where it may have logged.
            deaths: what snakemake said of commands that failed; each names its log.
            message: what snakemake said of this job.
        """
        log = next((log for log in logs if Path(log).is_file()), "")
        signals = [_SIGNAL.search(death) for death in deaths if log and log in death]
        killed = next((f"killed by {found[1]}{_MEMORY}" for found in signals if found), "")
        reasons = (error_in(log), killed, last_line(log)) if log else ()
        why = next(
            filter(None, (*reasons, " ".join((message or "").split()))), f"ended without a word{_MEMORY}"
        )
        return cls(what, why, log)

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
