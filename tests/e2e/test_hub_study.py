"""A study of a data set on the hub: asked once, downloaded once, and from then on without the hub."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from hub import Hub, parquet, published_files
from workflow import ROOT, SNAKEMAKE, command, jobs, metric_bytes, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

NAME, IMAGES = "owner/adapters", "owner/images"
SECRET = "hf_SecretOfTheStudy"
NOWHERE = "http://127.0.0.1:9"
STUDY = {
    "dataset": "mine",
    "layer_sets": ["all"],
    "representations": ["stats"],
    "probes": ["ridge"],
    "seeds": 1,
    "datasets": {"mine": {"source": "hub", "path": NAME}},
    "control_draws": 2,
    "importance": {"representation": None},
    "adapter_map": {"adapters": 0},
}
SPARSE = {"images": {"source": "hub", "path": IMAGES}, "gates": ["dense", "uniform"], "seeds": 1, "epochs": 1}
TARGET = "stats"


def environment(folder: Path, endpoint: str) -> dict[str, str]:
    """Return the environment with a hub, a cache of its own and a token."""
    offline = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE")
    env = {name: value for name, value in os.environ.items() if name not in offline}
    return env | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "cache"), "HF_TOKEN": SECRET}


def run(folder: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run the study of a folder."""
    done = subprocess.run(
        command(folder, *arguments),
        env=environment(folder, endpoint),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    assert SECRET not in done.stdout
    return done


@pytest.fixture(scope="module")
def files():
    return published_files(40, 3, signal=0.5)


@pytest.fixture
def hub(files):
    with Hub() as server:
        server.publish(NAME, files)
        yield server


@pytest.fixture
def folder(tmp_path):
    write_config(tmp_path, STUDY)
    return tmp_path


def test_after_one_download_the_hub_is_not_needed(hub, files, folder):
    """Plan, run, a lost file and a lost `.snakemake`: the hub is asked by the first plan and the download."""
    planned = jobs(run(folder, hub.endpoint, TARGET, "-n"))
    assert (planned["download"], planned["prepare"]) == (1, 1)
    assert len(hub.paths("/api/datasets/")) == 1
    pin = (folder / "results/mine/pin.json").read_bytes()
    hub.publish(NAME, {**files, "more.txt": b"x"})
    hub.asked.clear()
    assert jobs(run(folder, NOWHERE, TARGET, "-n")) == planned
    done = run(folder, hub.endpoint, TARGET, "--until", "download")
    assert done.returncode == 0, done.stdout
    assert not hub.paths("/api/datasets/")
    (log,) = (folder / "logs/mine/download").glob("*.log")
    assert f"{NAME}: 3 files, " in log.read_text()
    hub.asked.clear()
    done = run(folder, NOWHERE, TARGET)
    assert done.returncode == 0, done.stdout
    first = metric_bytes(folder)
    assert any("probes" in path for path in first)
    assert jobs(run(folder, NOWHERE, TARGET, "-n")) == {}
    for lost in (folder / "results/mine/probes", folder / ".snakemake"):
        shutil.rmtree(lost)
    assert jobs(run(folder, NOWHERE, TARGET, "-n")) == {"train": 1, TARGET: 1, "total": 2}
    assert run(folder, NOWHERE, TARGET).returncode == 0
    assert metric_bytes(folder) == first
    assert hub.asked == []
    assert (folder / "results/mine/pin.json").read_bytes() == pin
    for path in folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_what_is_asked_by_whoever_looks(hub, folder):
    assert run(folder, hub.endpoint, TARGET).returncode == 0
    hub.asked.clear()
    env = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "cache")}
    env.pop("HF_HUB_OFFLINE", None)
    for words in (["progress", "--configfile", "study.yaml"], ["studies"]):
        line = [sys.executable, "-m", "lorascope.cli", *words]
        subprocess.run(line, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    assert hub.asked == []


def test_a_download_that_broke_off_goes_on(hub, folder):
    hub.fail("GET /cdn/", cut=100, times=1)  # while the columns are looked at
    done = run(folder, hub.endpoint, TARGET)
    assert done.returncode != 0
    assert "owner/adapters: the hub does not answer" in done.stdout
    assert run(folder, hub.endpoint, TARGET, "-n").returncode == 0
    hub.fail("GET /cdn/", cut=5000, times=1)
    hub.asked.clear()
    done = run(folder, hub.endpoint, TARGET, "--until", "download")
    assert done.returncode == 0, done.stdout
    ranges = [asked.range for asked in hub.asked if asked.path.startswith("/cdn/") and asked.method == "GET"]
    assert ranges.count("bytes=5000-") == 1


def test_a_set_that_became_gated_fails_its_download_in_one_line(hub, folder):
    assert run(folder, hub.endpoint, TARGET, "-n").returncode == 0
    hub.gated, hub.token = {NAME}, "another"
    done = run(folder, hub.endpoint, TARGET)
    assert done.returncode != 0
    assert "Failed: Download mine: owner/adapters: access is restricted; accept the terms" in done.stdout
    (log,) = (folder / "logs/mine/download").glob("*.log")
    assert len(log.read_text().splitlines()) == 1
    hub.gated = set()
    assert run(folder, hub.endpoint, TARGET).returncode == 0


def test_a_lost_cache_is_told_and_downloaded_again(hub, folder):
    assert run(folder, hub.endpoint, TARGET, "--until", "download").returncode == 0
    shutil.rmtree(folder / "cache")
    done = run(folder, hub.endpoint, TARGET)
    assert done.returncode != 0
    assert "is no longer in the cache of the hub" in done.stdout
    assert "just run again" in done.stdout
    assert run(folder, hub.endpoint, TARGET).returncode == 0


def test_wrong_names_are_told_before_anything_is_downloaded(hub, folder):
    write_config(folder, {**STUDY, "datasets": {"mine": {"source": "hub", "path": NAME, "label": "klass"}}})
    done = run(folder, hub.endpoint, TARGET, "-n")
    assert done.returncode != 0
    assert "mine: no label column 'klass'; there are: adapter, category_label" in done.stdout
    write_config(folder, {**STUDY, "datasets": {"mine": {"source": "hub", "path": "owner/nothing"}}})
    done = run(folder, hub.endpoint, TARGET, "-n")
    assert done.returncode != 0
    assert "owner/nothing: the hub has no such data set, or it is private" in done.stdout
    assert not (folder / "cache").exists() or not list((folder / "cache").rglob("*.parquet"))


@pytest.mark.skipif(shutil.which("rsync") is None, reason="the storage plugin fs needs rsync")
def test_where_files_lie_in_a_store_the_hub_is_asked_once_too(hub, folder):
    store = ["--default-storage-provider", "fs", "--default-storage-prefix", str(folder / "store")]
    done = run(folder, hub.endpoint, TARGET, "--until", "prepare", *store)
    assert done.returncode == 0, done.stdout
    # The controls plan the study in their job.
    done = run(folder, NOWHERE, "results/studies/default/mine/summary/results.json", *store)
    assert done.returncode == 0, done.stdout
    assert [path.name for path in (folder / "results").rglob("*") if path.is_file()] == ["pin.json"]


def test_below_the_prefix_of_another_workflow(hub, folder):
    lines = [
        f"module mine:\n    snakefile: '{ROOT / 'Snakefile'}'",
        f"    config: {STUDY}\n    prefix: 'weights'",
        "use rule * from mine as mine_*",
        "rule all:\n    default_target: True\n    input: rules.mine_summary.input",
    ]
    (folder / "Snakefile").write_text("\n".join(lines))
    profile = ["--workflow-profile", str(ROOT / "profiles/default")]
    line = [SNAKEMAKE, "--cores", "2", *profile]
    env = environment(folder, hub.endpoint)
    subprocess.run([*line, "--until", "mine_prepare"], cwd=folder, env=env, check=True)
    subprocess.run(line, cwd=folder, env=environment(folder, NOWHERE), check=True)
    assert (folder / "weights/results/mine/pin.json").exists()
    assert not (folder / "results").exists()


def test_images_of_sparse_training(hub, folder):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 8, 8), np.uint8)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"image": [Image.fromarray(own) for own in pixels], "label": [row % 2 for row in range(60)]}
    images = datasets.Dataset.from_dict(rows, features)
    content = {"data/train-00000-of-00001.parquet": parquet(images), "README.md": b"# Images\n"}
    commit = hub.publish(IMAGES, content)
    write_config(folder, {**STUDY, "sparse": SPARSE})
    target = "sparse"
    done = run(folder, hub.endpoint, target, "--until", "download")
    assert done.returncode == 0, done.stdout
    assert json.loads((folder / "results/sparse/hub/pin.json").read_text())["commit"] == commit
    hub.asked.clear()
    done = run(folder, NOWHERE, target)
    assert done.returncode == 0, done.stdout
    assert jobs(run(folder, NOWHERE, target, "-n")) == {}
    (manifest,) = (folder / "results/sparse/hub/images").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["classes"] == ["a", "b"]
    assert hub.asked == []
