"""Two settings of one data set under two names, from the first run to the last prune."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workflow import jobs, metric_bytes, run, write_config

LORASCOPE = str(Path(sys.executable).with_name("lorascope"))
FIRST = {
    "study": "first",
    "dataset": "five",
    "datasets": {"five": {"source": "sanity"}},
    "representations": ["stats"],
    "layer_sets": ["all"],
    "probes": ["ridge"],
    "controls": [],
    "importance": {"representation": None},
    "adapter_map": {"adapters": 0},
}
SECOND = FIRST | {"study": "second", "ridge": {"penalties": [5]}}


def lorascope(folder, *words):
    done = subprocess.run([LORASCOPE, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def planned(folder, settings, *targets):
    write_config(folder, settings)
    done = run(folder, *targets)
    assert done.returncode == 0, done.stdout
    return jobs(done)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_settings_stand_side_by_side_and_what_neither_needs_is_pruned(tmp_path):
    planned(tmp_path, FIRST)
    counts = planned(tmp_path, SECOND)
    assert counts["train"] == 1
    assert not {"prepare", "label", "passport", "extract"} & set(counts), "shared"
    studies = tmp_path / "results/studies"
    assert all((studies / name / "five/report/index.html").exists() for name in ("first", "second"))
    assert planned(tmp_path, FIRST, "--dry-run") == planned(tmp_path, SECOND, "--dry-run") == {}
    assert "A: first\nB: second\n" in lorascope(tmp_path, "compare", "first", "second")
    assert "first/five: Cells: 1 of 1 done." in lorascope(tmp_path, "studies")
    nothing = "nothing to remove: every file is needed by a study\n"
    assert lorascope(tmp_path, "prune") == nothing

    # A study that was not run to its end keeps what it has.
    planned(tmp_path, FIRST | {"study": "third", "representations": ["spectral"]}, "features")
    assert "third/five: no results yet" in lorascope(tmp_path, "studies")
    assert lorascope(tmp_path, "prune") == nothing

    shutil.rmtree(studies / "second")
    shutil.rmtree(studies / "third")
    before = metric_bytes(tmp_path)
    lorascope(tmp_path, "prune", "--yes")
    gone = set(before) - set(metric_bytes(tmp_path))
    assert {path.split("/")[2] for path in gone} == {"controls", "features", "probes"}
    assert lorascope(tmp_path, "prune") == nothing
    assert planned(tmp_path, FIRST, "--dry-run") == {}
    (kept,) = (tmp_path / "results/five/probes/stats/all.ridge").iterdir()
    (log,) = (tmp_path / "logs/five/train").rglob("*.log")
    assert kept.name in log.name
