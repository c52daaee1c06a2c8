"""What is known of the jobs of a run while it goes on."""

import time
from dataclasses import dataclass, field

from lorascope.screen.failures import Failure
from lorascope.study.durations import Durations, Kind


@dataclass(frozen=True)
class RunningJob:
    """A job that was started: what it does, when (monotonic seconds), and its kind."""

    what: str
    began: float
    kind: Kind


@dataclass
class Jobs:
    """Counts, times and failures of a run.

    Attributes:
        total, done: jobs of the run, and those that are finished.
        began: when the run began, in monotonic seconds.
        durations: what jobs of each kind took, in earlier runs and in this one.
        waiting: kind of each job that is not started, by job id.
        failures: jobs that failed, by job id.
    """

    total: int = 0
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    durations: Durations = field(default_factory=Durations)
    waiting: dict[int, Kind] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    _running: dict[int, RunningJob] = field(default_factory=dict)
    _worked: float = 0.0

    @property
    def failed(self) -> int:
        return len(self.failures)

    def running(self) -> list[RunningJob]:
        """Return the jobs that are running, the oldest first."""
        return list(self._running.values())

    def what(self, job: int) -> str:
        """Return a running job in words; empty where it is not known."""
        return self._running[job].what if job in self._running else ""

    def start(self, job: int, what: str, kind: Kind) -> None:
        self.waiting.pop(job, None)
        self._running[job] = RunningJob(what, time.monotonic(), kind)

    def finish(self, job: int) -> None:
        """Note that a job is done, also one that failed at its first try."""
        self.failures.pop(job, None)
        if ended := self._running.pop(job, None):
            seconds = time.monotonic() - ended.began
            self._worked += seconds
            self.durations.add(ended.kind, seconds)

    def fail(self, job: int, failure: Failure) -> None:
        self.failures[job] = failure
        self._running.pop(job, None)

    def left(self, now: float) -> float | None:
        """Return the seconds that are left, as fast as the run went so far; None where nothing is known."""
        running = self.running()
        worked = self._worked + sum(now - job.began for job in running)
        rest = self.durations.left([*self.waiting.values(), *(job.kind for job in running)])
        if rest is None or not worked:
            return None
        begun = sum(min(now - job.began, self.durations.expected(job.kind) or 0.0) for job in running)
        return max(rest - begun, 0.0) * (now - self.began) / worked
