"""Files in a store instead of a shared file system, as in a cloud: the same bytes, and no results here."""

import shutil

import pytest

from workflow import jobs, metric_bytes, run, write_config

STUDY = {
    "dataset": "five",
    "layer_sets": ["all"],
    "representations": ["stats", "delta_gram"],
    "seeds": 1,
    "control_draws": 2,
    "mlp": {"hidden": [16], "epochs": 4},
    "datasets": {"five": {"source": "sanity"}},
    "importance": {"representation": None},
    "adapter_map": {"adapters": 0},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("rsync") is None, reason="the storage plugin fs needs rsync"),
]


def test_a_study_whose_files_lie_in_a_store(tmp_path):
    here, away, store = (tmp_path / name for name in ("here", "away", "store"))
    for folder in (here, away):
        write_config(folder, STUDY)
    in_store = ["--default-storage-provider", "fs", "--default-storage-prefix", str(store)]
    done = run(away, *in_store)
    assert done.returncode == 0, done.stdout
    assert not (away / "results").exists()

    assert run(here).returncode == 0
    stored, local = metric_bytes(store), metric_bytes(here)
    assert stored == {path: content for path, content in local.items() if "/seeds/" not in path}, (
        "no partial ones"
    )
    assert (store / "results/studies/default/five/report/index.html").stat().st_size > 100_000

    shutil.rmtree(away / ".snakemake")
    assert jobs(run(away, *in_store)) == {}
