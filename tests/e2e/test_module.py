"""The workflow as a part of another one, and run from elsewhere."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from workflow import ROOT, SNAKEMAKE, metric_bytes, run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STUDY = {
    "dataset": "five",
    "layer_sets": ["all"],
    "representations": ["stats"],
    "probes": ["mlp"],
    "seeds": 1,
    "mlp": {"hidden": [8], "epochs": 2},
    "datasets": {"five": {"source": "sanity"}},
}
SUMMARY = "results/studies/default/five/summary/cells.csv"

# What docs/targets.md tells the author of another workflow to write.
IMPORTING = f"""
configfile: "config.yaml"

module lorascope:
    snakefile: "{ROOT / "Snakefile"}"
    config: config["weights"]
    prefix: "weights"

use rule * from lorascope as lorascope_*

rule count_cells:
    default_target: True
    input: rules.lorascope_summary.input
    output: "cells.txt"
    params: table="weights/{SUMMARY}"
    shell: "tail -n +2 {{params.table}} | wc -l > {{output}}"
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """The folder of the study, run with --directory by a process that stands in another one."""
    folder = tmp_path_factory.mktemp("elsewhere")
    write_config(folder, STUDY)
    done = run(folder, "summary")
    assert done.returncode == 0, done.stdout
    return folder


def test_a_run_in_another_folder_writes_there_alone(elsewhere):
    assert (elsewhere / SUMMARY).exists()
    assert {path.name for path in elsewhere.iterdir()} == {"study.yaml", "results", "logs", ".snakemake"}


def test_another_workflow_imports_this_one_with_a_prefix_and_uses_its_summary(elsewhere, tmp_path):
    (tmp_path / "Snakefile").write_text(IMPORTING)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"weights": STUDY}))
    command = [
        SNAKEMAKE,
        "--cores",
        "2",
        "--directory",
        str(tmp_path),
        "--snakefile",
        f"{tmp_path}/Snakefile",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cells.txt").read_text().strip() == "1"
    assert not (tmp_path / "results").exists()
    shutil.move(tmp_path / "weights/results", tmp_path / "results")
    assert metric_bytes(tmp_path) == metric_bytes(elsewhere)
