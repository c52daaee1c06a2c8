"""What a terminal shows while jobs run: those that run, how many are done, time gone and time left."""

import time
from collections.abc import Iterable

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lorascope.report.numbers import seconds
from lorascope.screen.jobs import Jobs
from lorascope.wording import plural

# More running jobs than this would fill the screen.
_SHOWN = 10


class Display:
    """Redraws itself at the bottom of a terminal until it is closed; what is printed goes above it.

    Args:
        console: the terminal.
        jobs: what is known of the run; read anew for every picture.
    """

    def __init__(self, console: Console, jobs: Jobs):
        self._console, self._jobs = console, jobs
        self._spinner = Spinner("dots")
        self._live = Live(
            console=console,
            get_renderable=self._picture,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
        )

    def open(self) -> None:
        """Start to draw."""
        self._live.start()

    def print(self, line: str, style: str = "") -> None:
        """Print a line that stays."""
        self._console.print(Text(line, style))

    def close(self) -> None:
        """Take the picture away."""
        self._live.stop()

    def _picture(self) -> Group:
        now = time.monotonic()
        if not self._jobs.total:
            return Group(_row(self._spinner.render(now), "Planning", ""))
        return Group(*self._running(now), self._bar(now))

    def _running(self, now: float) -> Iterable[Table]:
        running = self._jobs.running()
        for job in running[:_SHOWN]:
            yield _row(self._spinner.render(now), job.what, _clock(now - job.began))
        if more := running[_SHOWN:]:
            yield _row(Text(" "), f"and {plural(len(more), 'more job')}", "")

    def _bar(self, now: float) -> Table:
        jobs = self._jobs
        left = jobs.left(now)
        words = f"{jobs.done} of {plural(jobs.total, 'job')}, {_clock(now - jobs.began)}"
        words += f", about {_rounded(left)} left" if left is not None else ""
        words += f", {jobs.failed} failed" if jobs.failed else ""
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        row.add_row(ProgressBar(total=jobs.total, completed=jobs.done), words)
        return row


def _row(mark: Text, what: str, seconds: str) -> Table:
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(width=1)
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    row.add_column(justify="right", no_wrap=True)
    row.add_row(mark, Text(what), Text(seconds, "dim"))
    return row


def _rounded(left: float) -> str:
    return f"{left:.0f} s" if left < 60 else seconds(left)


def _clock(elapsed: float) -> str:
    """65.2 → "1:05"; 3665 → "1:01:05"."""
    minutes, rest = divmod(int(elapsed), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
