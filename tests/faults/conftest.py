"""Every fault that was tried, and what came of it, goes into the file that LORASCOPE_FAULTS_JSON names."""

import json
import os
from pathlib import Path

import pytest

from faults.recovery import SANITY, SPARSE, ZOO, Study, undisturbed

TRIED, NOT_TRIED = "fault tried", "fault not tried"
_entries: list[dict] = []


class Tried:
    """Writes down what a test tries."""

    def __init__(self, item: pytest.Item):
        self._item = item

    def __call__(self, fault: str, hit: str, seen: str = "") -> None:
        """Write down one try: what was done, what was hit by it, and what the user sees."""
        self._item.user_properties.append((TRIED, {"fault": fault, "hit": hit, "seen": seen}))

    def skip(self, fault: str, reason: str) -> None:
        """Write down that a fault cannot be tried here, and skip the test."""
        self._item.user_properties.append((NOT_TRIED, {"fault": fault, "reason": reason}))
        pytest.skip(reason)


@pytest.fixture
def tried(request) -> Tried:
    return Tried(request.node)


def pytest_runtest_logreport(report):
    if report.when != "call" and report.passed:
        return
    failure = report.longreprtext.strip().splitlines()[-1] if report.failed else ""
    for kind, properties in report.user_properties:
        if kind in (TRIED, NOT_TRIED):
            _entries.append({**properties, "tried": kind == TRIED, "failure": failure})


def pytest_sessionfinish():
    if path := os.environ.get("LORASCOPE_FAULTS_JSON"):
        Path(path).write_text(json.dumps(_entries, indent=1) + "\n")


@pytest.fixture(scope="session")
def sanity(tmp_path_factory) -> Study:
    return undisturbed(SANITY, tmp_path_factory.mktemp("sanity"), "summary")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory) -> Study:
    return undisturbed(ZOO, tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def sparse(tmp_path_factory) -> Study:
    return undisturbed(SPARSE, tmp_path_factory.mktemp("sparse"), "sparse")
