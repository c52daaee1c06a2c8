"""Profiles: they keep what the default one protects, and a cluster is asked for what rules need."""

import pytest
import yaml

from planning import Dag
from workflow import ROOT, TINY_ZOO, run, write_config

PROFILES = ROOT / "profiles"


def settings_of(profile):
    return yaml.safe_load((PROFILES / profile / "config.yaml").read_text())


@pytest.mark.parametrize("profile", sorted(path.name for path in PROFILES.iterdir()))
def test_a_profile_repeats_the_default_one_which_it_replaces(profile):
    default = settings_of("default")
    assert {name: settings_of(profile).get(name) for name in default} == default


def test_the_study_plans_with_the_slurm_profile(tmp_path):
    write_config(tmp_path, TINY_ZOO)
    done = run(tmp_path, "--dry-run", "--workflow-profile", str(PROFILES / "slurm"))
    assert done.returncode == 0, done.stdout
    assert "zoo_train" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "mine"),
    [
        ("kubernetes", []),
        ("googlebatch", ["--googlebatch-project", "mine", "--googlebatch-region", "europe-west4"]),
    ],
)
def test_the_study_plans_where_files_go_through_a_store(tmp_path, profile, mine):
    write_config(tmp_path, TINY_ZOO)
    store = ["--default-storage-provider", "fs", "--default-storage-prefix", str(tmp_path / "store")]
    image = ["--container-image", "registry.example.org/lorascope:0.1"]
    where = ["--workflow-profile", str(PROFILES / profile)]
    # Why a job runs names the files that it lacks.
    done = run(tmp_path, "--dry-run", "--quiet", "host", *where, *store, *image, *mine)
    assert done.returncode == 0, done.stdout
    assert f"{tmp_path}/store/results/studies/default/tiny/report/index.html (in storage)" in done.stdout
    assert not (tmp_path / "store").exists()


def test_every_job_asks_for_memory_and_time_and_for_twice_the_memory_when_it_is_tried_again(tmp_path):
    dag = Dag(tmp_path, **TINY_ZOO | {"representations": ["stats", "delta_gram"]})
    jobs = [job for job in dag.jobs if job.rule.name not in dag.workflow._localrules]
    assert {"zoo_train", "prepare", "fit", "extract", "train", "page"} <= {job.rule.name for job in jobs}
    for job in jobs:
        first = job.resources["mem_mb"]
        assert first > 0
        assert job.resources["runtime"] > 0
        job.attempt = 2
        job.reset_params_and_resources()
        assert job.resources["mem_mb"] == 2 * first, job.rule.name
