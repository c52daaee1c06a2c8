"""Every target ends with its answer, and a failed run with what failed, why, and how to go on."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapter_folder import write_tree
from workflow import run, write_config

LORASCOPE = str(Path(sys.executable).with_name("lorascope"))
PAGE = "Page: results/studies/default/sanity/report/index.html"

QUICK = {
    "dataset": ["sanity", "zoo"],
    "representations": ["stats"],
    "probes": ["ridge"],
    "controls": [],
    "importance": {"representation": "stats", "folds": 2, "remove": [1], "keep": [1], "controls": 1},
    "adapter_map": {"adapters": 0},
}


@pytest.mark.slow
def test_a_data_set_and_all_targets_of_it_end_with_their_answer(tmp_path):
    """The data set that is asked for, and not the ones that are set."""
    write_config(tmp_path, QUICK)
    done = run(tmp_path, "sanity")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert lines[-1] == PAGE
    assert any(line.startswith("Best cell: stats × ") for line in lines)
    assert max(map(len, lines[:-20])) <= 200
    shown = subprocess.run([LORASCOPE, "show"], cwd=tmp_path, capture_output=True, text=True, check=True)
    verdict = shown.stdout.splitlines()
    assert lines[-len(verdict) :] == verdict
    for target in ("sanity", "results/studies/default/sanity/report/index.html"):
        again = run(tmp_path, target).stdout.splitlines()
        assert any(line.startswith("Nothing to be done") for line in again)
        assert again[-len(verdict) :] == verdict
    write_config(tmp_path, QUICK | {"dataset": "sanity"})
    scores = run(tmp_path, "stats").stdout.splitlines()[-4:]
    assert scores[0] == "Test accuracy on sanity:"
    assert scores[1].startswith("  stats × all (ridge): ")
    assert " test adapters [" in scores[2]
    assert scores[3] == "Files: results/sanity/probes/stats"
    features = run(tmp_path, "features").stdout.splitlines()[-2:]
    assert features == ["Features of sanity: 1 representation in 2 files", "Files: results/sanity/features"]
    layers = run(tmp_path, "importance").stdout.splitlines()[-2:]
    assert layers[0].startswith("sanity: Where it sits: ")
    assert layers[1].startswith("Files: results/sanity/importance/stats/")
    tables = run(tmp_path, "summary").stdout.splitlines()
    assert tables[-len(verdict) :] == verdict
    path = next((tmp_path / "results/sanity/labels").glob("*/adapters.parquet")).relative_to(tmp_path)
    assert run(tmp_path, str(path)).stdout.splitlines()[-1] == f"Made: {path}"


@pytest.mark.slow
def test_a_failed_run_ends_with_what_why_where_and_the_command(tmp_path):
    write_tree(tmp_path / "tree", 12)
    for extra in sorted((tmp_path / "tree/owl").iterdir())[1:]:
        shutil.rmtree(extra) if extra.is_dir() else extra.unlink()
    write_config(
        tmp_path, {**QUICK, "dataset": "mine", "datasets": {"mine": {"source": "folder", "path": "tree"}}}
    )
    done = run(tmp_path)
    what, why, log, command = done.stdout.splitlines()[-4:]
    assert done.returncode == 1
    assert what == "Failed: Label and split mine"
    assert why == "  mine: too few adapters of 'owl' (1); a class needs 3, one for each part"
    assert (tmp_path / log.removeprefix("  log: ")).is_file()
    assert command.endswith(f"go on with: snakemake {' '.join(done.args[1:])}")
    assert "Traceback" not in done.stdout
    assert "Error in" not in done.stdout
