"""A folder of adapter files through the whole workflow: what is rejected is said, and predict answers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapter_folder import write_tree
from workflow import jobs, run, write_config

LORASCOPE = str(Path(sys.executable).with_name("lorascope"))

STUDY = {
    "dataset": "mine",
    "datasets": {"mine": {"source": "folder", "path": "tree"}},
    "representations": ["delta_gram"],
    "layer_sets": ["visual"],
    "probes": ["ridge"],
}

STUDY_FOLDER = "results/studies/default/mine"


@pytest.mark.slow
def test_a_folder_of_files_becomes_a_page_and_answers(tmp_path):
    write_tree(tmp_path / "tree", 12)
    (tmp_path / "tree/cat/broken.safetensors").write_text("not an adapter")
    write_config(tmp_path, STUDY)
    assert jobs(run(tmp_path))["prepare"] == 1
    results, named = tmp_path / "results/mine", tmp_path / STUDY_FOLDER
    said = "1 of 37 files could not be used"
    assert said in (named / "report/summary.txt").read_text()
    assert said in (named / "report/index.html").read_text()
    (listed,) = results.glob("data/*/rejected.csv")
    assert "cat/broken.safetensors" in listed.read_text()
    (log,) = (tmp_path / "logs/mine/prepare").glob("*.log")
    assert "1 of 37 files rejected" in log.read_text()
    assert not list(results.glob("data/*/parts"))
    told = subprocess.run(
        [LORASCOPE, "predict", "tree/dog/001.safetensors", "--study", STUDY_FOLDER, "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout)["files"][0]["predicted"] == "dog"
    (tmp_path / "tree/owl/new.safetensors").write_bytes((tmp_path / "tree/owl/002.safetensors").read_bytes())
    assert jobs(run(tmp_path, "-n"))["prepare"] == 1
