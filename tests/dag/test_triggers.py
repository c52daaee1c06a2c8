"""What a change costs: the DAG of a study whose files are all there, after edits of code, settings, data."""

import shutil

import pytest

from planning import Dag
from published import NARROW, make_dataset, make_weights

FIVE = {
    "dataset": "five",
    "datasets": {"five": {"source": "sanity"}},
    "representations": ["stats", "spectral", "ensemble"],
    "importance": {"representation": None},
    "adapter_map": {"adapters": 0},
    "probes": ["mlp"],
    "seeds": 2,
    "seeds_per_job": 1,
}
FINAL = {"control", "stamp", "aggregate", "keep_probes", "page", "report"}


@pytest.fixture
def study(tmp_path):
    Dag(tmp_path, **FIVE).finish()
    assert not Dag(tmp_path, **FIVE).needed
    return tmp_path


@pytest.mark.parametrize(
    "module", ["study/progress.py", "zoo/unet.py", "sparse/train.py", "adapters/convert.py"]
)
def test_a_comment_in_a_module_that_no_step_imports_reruns_nothing(study, package, module):
    package.append(module)
    assert not Dag(study, **FIVE).needed


def test_an_edit_of_one_representation_extracts_that_one_again(study, package):
    package.append("features/representations/spectral.py")
    dag = Dag(study, **FIVE)
    assert dag.values("extract", "representation") == {"spectral"}
    assert dag.values("train", "representation") == {"spectral", "ensemble"}
    assert set(dag.planned) - {"extract", "train"} == FINAL


def test_more_seeds_train_the_new_ones_alone(study):
    dag = Dag(study, **FIVE | {"seeds": 3})
    assert dag.values("train", "first") == {"44"}
    assert set(dag.planned) == {"train", "stamp", "aggregate", "keep_probes", "page", "report"}


def test_swapped_learning_rate_and_weight_decay_train_again(tmp_path):
    one = {"learning_rate": 0.001, "weight_decay": 0.0001}
    Dag(tmp_path, **FIVE | {"mlp": one}).finish()
    assert not Dag(tmp_path, **FIVE | {"mlp": dict(reversed(one.items()))}).needed
    swapped = {"learning_rate": one["weight_decay"], "weight_decay": one["learning_rate"]}
    dag = Dag(tmp_path, **FIVE | {"mlp": swapped})
    assert dag.planned["train"] == 3 * 2 * 2
    assert set(dag.planned) == {"train", "stamp", "aggregate", "keep_probes", "page", "report"}


def test_new_data_under_the_same_name_are_noticed(tmp_path):
    config = {**FIVE, "datasets": {"five": {"source": "disk", "path": str(tmp_path / "set")}}}
    make_dataset(make_weights(20, NARROW)).save_to_disk(tmp_path / "set")
    Dag(tmp_path, **config).finish()
    assert not Dag(tmp_path, **config).needed
    shutil.rmtree(tmp_path / "set")
    make_dataset(make_weights(20, NARROW, seed=1)).save_to_disk(tmp_path / "set")
    assert {"prepare", "label", "passport", "extract", "train"} <= set(Dag(tmp_path, **config).planned)
