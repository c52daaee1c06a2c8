"""Paths and keys of the study of sparse training: what a change of settings costs."""

import pytest
import yaml

from lorascope.sparse.settings import TrainSettings
from lorascope.study.config import load_config
from lorascope.study.sparse_plan import SparsePlan
from workflow import ROOT


def plan(**settings):
    return SparsePlan(load_config({"datasets": {"zoo": {"source": "zoo"}}, "sparse": settings}))


def folders(**settings):
    return {run.folder for run in plan(**settings).runs}


def test_a_run_for_each_gate_and_seed():
    runs = plan(gates=["dense", "uniform@0.5"], seeds=2, first_seed=7).runs
    assert [(run.gate, run.seed) for run in runs] == [
        ("dense", 7), ("dense", 8), ("uniform@0.5", 7), ("uniform@0.5", 8)
    ]  # fmt: skip
    assert len({run.folder for run in runs}) == 4
    assert all(run.folder.startswith("results/sparse/digits/runs/") for run in runs)


def test_more_seeds_and_more_gates_keep_what_is_there():
    small = folders(gates=["dense"], seeds=2)
    assert small < folders(gates=["dense", "sundew"], seeds=3)


@pytest.mark.parametrize(
    "settings", [{"epochs": 3}, {"vit": {"depth": 3}}, {"crop": 1}, {"images": {"seed": 1}}]
)
def test_what_a_run_depends_on_changes_all_of_them(settings):
    assert not folders() & folders(**settings)


def test_settings_of_the_training_leave_the_images_alone():
    assert plan().images == plan(epochs=3, vit={"patch": 2}, gates=["dense"]).images
    assert plan().images != plan(images={"validation": 0.2}).images


def test_what_is_in_a_folder_counts_and_where_it_lies_does_not(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("the same")

    def key(name):
        return plan(images={"source": "fashion", "path": str(tmp_path / name)}).images_key

    first = key("a")
    assert first == key("b") != plan().images_key
    (tmp_path / "a/file").write_text("another")
    assert key("a") != first == key("b")


def test_images_that_are_not_there_are_refused(refused, tmp_path):
    with refused("absent: no such folder"):
        _ = plan(images={"source": "fashion", "path": str(tmp_path / "absent")}).images_key


@pytest.mark.parametrize("gate", ["dense", "uniform@0.5"])
def test_training_takes_the_settings_as_they_are_planned(gate):
    settings = plan().run_settings(gate)
    assert TrainSettings.from_json(settings).to_json() == settings


def test_the_defaults_are_those_of_the_code():
    assert TrainSettings("dense").to_json() == plan().run_settings("dense")


def test_gates_that_are_not_there_are_refused(refused):
    with refused("gate 'sundwe': unknown; there are: dense, free_loss, infobatch"):
        plan(gates=["dense", "sundwe"])


def test_the_study_of_fashion_mnist_is_a_valid_one():
    settings = yaml.safe_load((ROOT / "studies/study-sparse.yaml").read_text())["sparse"]
    made = plan(**settings)
    assert made.settings["seeds"] == 5
    assert {"dense", "uniform", "uniform@0.6", "free_loss@0.6"} <= set(made.settings["gates"])
