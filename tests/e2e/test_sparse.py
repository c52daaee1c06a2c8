"""The study of sparse training, from images to the page, by the real command."""

import pytest

from lorascope.files import read_table
from workflow import jobs, run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SIZES = {"patch": 4, "width": 16, "depth": 1, "heads": 2}
TINY = {"sparse": {"gates": ["dense", "uniform", "free_loss@0.5"], "seeds": 1, "epochs": 2, "vit": SIZES}}


def test_a_tiny_study_ends_in_its_page_and_is_not_run_twice(tmp_path):
    write_config(tmp_path, TINY)
    done = run(tmp_path, "sparse")
    assert done.returncode == 0, done.stdout
    assert "of dense's final validation accuracy" in done.stdout
    assert "Page: results/studies/default/sparse/digits/report/index.html" in done.stdout.splitlines()
    page = (tmp_path / "results/studies/default/sparse/digits/report/index.html").read_text()
    assert all(gate in page for gate in TINY["sparse"]["gates"])
    runs = sorted((tmp_path / "results/sparse/digits").glob("runs/*/*/seed-42/epochs.parquet"))
    assert [read_table(path)["epoch"].to_pylist() for path in runs] == [[1, 2]] * 3
    log = next((tmp_path / "logs/sparse/digits/train").glob("uniform.*.log")).read_text()
    assert "uniform seed 42 epoch 2/2: loss " in log
    assert jobs(run(tmp_path, "sparse", "--dry-run")) == {}
