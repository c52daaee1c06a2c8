"""The logger plugin: which of snakemake's log records are shown, and how.

On a terminal a few lines redraw themselves, in a pipe there is one line a job; a refusal is one line, and the
last lines of a run are its answer, or what failed and how to go on. Snakemake's log file holds all the rest.
"""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from snakemake.logging import is_quiet_about
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from lorascope.errors import LorascopeError
from lorascope.report.numbers import seconds
from lorascope.screen.failures import Failure, closing_lines, same_command
from lorascope.screen.jobs import Jobs
from lorascope.screen.refusals import refusal
from lorascope.study.durations import Durations, Kind, kind_of
from lorascope.wording import plural

# Said by every run, of use to none: settings, and what snakemake does next.
_NOISE = (
    "Assuming unrestricted shared filesystem usage",
    "Building DAG of jobs",
    "Complete log",
    "Conda environments: ignored",
    "Config file ",
    "Elapsed time",
    "Exiting because a job execution failed",
    "Reasons:",
    "Select jobs to execute",
    "Touching output file",
    "Using shell",
    # Said by the closing lines.
    "error: At least one job did not complete successfully",
)
# Rules whose log is shown: what must be known of a data set before its scores.
_TOLD = ("passport",)
_UNSAID = {
    *(LogEvent.SHELLCMD, LogEvent.JOB_STARTED, LogEvent.RESOURCES_INFO, LogEvent.WORKFLOW_STARTED),
    *(LogEvent.GROUP_INFO, LogEvent.GROUP_ERROR, LogEvent.RULEGRAPH),
}
_NOTHING_TO_DO, _DRY_RUN, _STOPPED = (
    "Nothing to be done",
    "This was a dry-run",
    "Terminating processes on user",
)

# Names the command of a failed job, before the job itself is named.
_DIED = "CalledProcessError in file"


class LogHandler(LogHandlerBase):
    """Shows a run; snakemake calls it from a thread of its own."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._jobs, self._told_jobs = Jobs(), False
        self._told: dict[int, str] = {}
        self._deaths: list[str] = []
        self._targets: Sequence[str] = ()
        self._answer: Callable[[], Sequence[str]] = list
        self._succeeded = self._stopped = False
        # Here, because the exception itself does not reach a handler.
        self._source, self._refusals = logging.getLogger("snakemake.logging"), _Refusals(self)
        self._source.addFilter(self._refusals)
        self._display = self._open_display()

    @property
    def _stream(self) -> TextIO:
        """Where lines go: a dry run's list of jobs is what was asked for."""
        return sys.stdout if self.common_settings.stdout else sys.stderr

    def _open_display(self):
        is_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        if not is_terminal or self.common_settings.dryrun:
            return None
        from rich.console import Console

        from lorascope.screen.display import Display

        console = Console(file=self._stream, no_color=self.common_settings.nocolor, highlight=False)
        display = Display(console, self._jobs)
        display.open()
        return display

    # What the Snakefile tells.

    def know(self, targets: Sequence[str], answer: Callable[[], Sequence[str]]) -> None:
        """Take the names that can be asked for, and what returns the lines that end a run."""
        self._targets, self._answer = targets, answer

    def expect(self, jobs: dict[int, Kind], durations: Durations) -> None:
        """Take the jobs of the run, by id, and how long jobs took before."""
        self._jobs.waiting, self._jobs.durations = jobs, durations
        self._jobs.began = time.monotonic()

    def close_display(self) -> None:
        """Leave the terminal to others."""
        if self._display:
            self._display.close()
            self._display = None

    def succeed(self) -> None:
        """Note that the run did what it was asked for."""
        self._succeeded = True

    def refusal(self, error: BaseException) -> str:
        """Return the line that refuses bad input; empty where an exception is none of the reader's."""
        return refusal(error, self._targets)

    # What snakemake tells.

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        try:
            self._show(record)
        except Exception:
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        shown = {
            LogEvent.RUN_INFO: self._show_jobs,
            LogEvent.JOB_INFO: self._show_start,
            LogEvent.JOB_FINISHED: self._show_end,
            LogEvent.PROGRESS: self._count,
            LogEvent.JOB_ERROR: self._show_failure,
        }
        if event in shown:
            shown[event](record)
        elif _DIED in str(record.msg):
            self._deaths.append(str(record.msg))
        elif event not in _UNSAID:
            self._show_message(record)

    def _show_message(self, record: logging.LogRecord) -> None:
        message = str(record.msg or "")
        if message.startswith(_NOTHING_TO_DO):
            self._succeeded = not self.common_settings.dryrun
        elif message.startswith(_DRY_RUN):
            message = "This was a dry run: nothing was made."
        elif message.startswith(_STOPPED):
            self._stopped = True
        if message and not message.startswith(_NOISE):
            self._print(message, is_error=record.levelno >= logging.ERROR)

    def _show_jobs(self, record: logging.LogRecord) -> None:
        self._jobs.total = record.stats["total"]
        # A dry run says it twice.
        if not self._display and not self._told_jobs:
            self._print(str(record.msg))
        self._told_jobs = True

    def _show_start(self, record: logging.LogRecord) -> None:
        what = record.rule_msg or f"{record.rule_name} {_words(record.wildcards)}".strip()
        kind = kind_of(record.benchmark) if record.benchmark else ("", record.rule_name)
        self._jobs.start(record.jobid, what, kind)
        if record.rule_name in _TOLD and record.log:
            self._told[record.jobid] = record.log[0]
        # What makes no file is a name that was asked for.
        if self._display or not record.output:
            return
        when = f"{time.strftime('%H:%M:%S')} [{self._jobs.done} of {self._jobs.total} done] "
        self._print(what if self.common_settings.dryrun else when + what)
        if not is_quiet_about(self.common_settings.quiet or (), "reason"):
            self._print(f"    {record.reason}")

    def _show_end(self, record: logging.LogRecord) -> None:
        log = self._told.pop(record.job_id, "")
        self._jobs.finish(record.job_id)
        if log and Path(log).is_file():
            self._print(Path(log).read_text(errors="replace").rstrip())

    def _count(self, record: logging.LogRecord) -> None:
        self._jobs.done, self._jobs.total = record.done, record.total

    def _show_failure(self, record: logging.LogRecord) -> None:
        what = self._jobs.what(record.jobid) or record.rule_name
        failure = Failure.of(what, record.log, self._deaths, record.rule_msg)
        if self._stopped or failure.is_stop:
            self._stopped = True
            return
        self._jobs.fail(record.jobid, failure)
        self._print(f"Failed: {what}: {failure.why}", is_error=True)
        if failure.is_bug and self.common_settings.show_failed_logs:
            self._print(failure.text())

    def _print(self, text: str, is_error: bool = False) -> None:
        if self._display:
            self._display.print(text, "red" if is_error else "")
        else:
            print(text, file=sys.stderr if is_error else self._stream, flush=True)

    # The end.

    def close(self) -> None:
        """Say how the run ended. Snakemake closes more than once, and drops what is raised here."""
        if self._source is None:
            return
        self._source.removeFilter(self._refusals)
        self._source = None
        try:
            self._end()
        except LorascopeError as error:
            print(f"error: {error}", file=sys.stderr)
        except Exception:
            traceback.print_exc()
        super().close()

    def _end(self) -> None:
        self.close_display()
        if self._succeeded:
            self._say(self._answer())
        elif self._stopped:
            self._print(f"Stopped. What is done is kept; go on with: {same_command()}")
        elif self._jobs.failures:
            self._print("\n".join(closing_lines(list(self._jobs.failures.values()))))

    def _say(self, lines: Sequence[str]) -> None:
        """Print the answer to stdout, so that `snakemake > answer.txt` keeps it and nothing else."""
        if self._jobs.done:
            gone = seconds(time.monotonic() - self._jobs.began)
            self._print(f"{plural(self._jobs.done, 'job')} done in {gone}.")
        if not sys.stdout.isatty():
            print("\n".join(lines), flush=True)
            return
        from rich.console import Console
        from rich.text import Text

        # At words, which a terminal would break.
        Console(file=sys.stdout, highlight=False).print(Text("\n".join(lines)))


class _Refusals(logging.Filter):
    """Turns an exception that snakemake logs into the one line that it means."""

    def __init__(self, handler: LogHandler):
        super().__init__()
        self._handler = handler

    def filter(self, record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]
        is_end = error is not None and getattr(record, "event", None) == LogEvent.ERROR
        if is_end and (line := self._handler.refusal(error)):
            record.msg, record.args = f"error: {line}", ()
        return True


def _words(wildcards: dict) -> str:
    return ", ".join(map(str, wildcards.values()))
