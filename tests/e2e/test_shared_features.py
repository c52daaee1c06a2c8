"""Two checkouts and one store: the workflow as two users run it."""

import shutil
import subprocess

import pytest

from lorascope.cli import main
from stores import files_of
from workflow import command, jobs, metric_bytes, run, write_config

# Whole workflows: on a busy machine that takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

STUDY = {"dataset": "five", "representations": ["stats"], "datasets": {"five": {"source": "sanity"}}}
FEATURE_FILES = 2


def told(folder) -> str:
    """Return the logs of all extractions."""
    return "".join(path.read_text() for path in sorted((folder / "logs/five/extract").glob("*.log")))


def test_two_checkouts_compute_a_feature_once_at_the_same_time_and_later(tmp_path):
    one, two, store = tmp_path / "one", tmp_path / "two", tmp_path / "store"
    for folder in (one, two):
        write_config(folder, {**STUDY, "features_dir": str(store)})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = [subprocess.Popen(command(folder, "features"), **pipes) for folder in (one, two)]
    outputs = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    both = told(one) + told(two)
    assert both.count("put into the store") == both.count("from the store") == FEATURE_FILES
    expected = metric_bytes(one)
    assert metric_bytes(two) == expected

    shutil.rmtree(one / "results")
    assert jobs(run(one, "features"))["extract"] == FEATURE_FILES  # the plan is as without a store
    assert told(one).count("from the store") == FEATURE_FILES
    assert "put into" not in told(one)
    assert metric_bytes(one) == expected
    assert len(files_of(store)) == 2 * FEATURE_FILES
    assert main(["store", "verify", str(store)]) == 0
