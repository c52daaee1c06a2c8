"""What a change costs: the DAG of a study whose files are all there, after edits of code, settings, data."""

import os
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

import lorascope
from lorascope.study import keys
from published import NARROW, make_dataset, make_weights
from workflow import ROOT

FIVE = {
    "dataset": "five",
    "datasets": {"five": {"source": "sanity"}},
    "representations": ["stats", "spectral", "ensemble"],
    "importance": {"representation": None},
    "adapter_map": {"adapters": 0},
    "seeds": 2,
    "seeds_per_job": 1,
}
FINAL = {"control", "stamp", "aggregate", "page", "report"}


class Dag:
    """The DAG of a study.

    Attributes:
        needed: rule → wildcards of the jobs that would run.
        outputs: all files of all jobs, those that come first in front.
    """

    def __init__(self, folder, config):
        with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(config=config),
                snakefile=ROOT / "Snakefile",
                workdir=folder,
            )
            workflow.dag(DAGSettings()).execute_workflow(executor="dryrun")
            dag = workflow._workflow.dag
            self.needed = defaultdict(list)
            for job in filter(dag.needrun, dag.jobs):
                self.needed[job.rule.name].append(job.wildcards_dict)
            layers = dag.toposorted()
            self.outputs = [output for layer in layers for job in layer for output in job.output]

    def values(self, rule, wildcard):
        return {wildcards[wildcard] for wildcards in self.needed[rule]}


def finish(folder, config):
    """Make a file of everything that the study writes; planning looks at names and times alone."""
    for second, output in enumerate(Dag(folder, config).outputs):
        path = Path(folder, output)
        path.parent.mkdir(parents=True, exist_ok=True)
        if output.is_directory:
            path.mkdir(exist_ok=True)
        else:
            path.touch()
        os.utime(path, (1e9 + second, 1e9 + second))


@pytest.fixture
def study(tmp_path):
    finish(tmp_path, FIVE)
    assert not Dag(tmp_path, FIVE).needed
    return tmp_path


@pytest.fixture
def package(tmp_path_factory, monkeypatch):
    """A copy of the package's source that a test may edit; keys are taken from it."""
    root = tmp_path_factory.mktemp("code") / "lorascope"
    shutil.copytree(Path(lorascope.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(keys, "_ROOT", root)
    forget()
    yield root
    monkeypatch.undo()
    forget()


def forget():
    for cached in (keys.code_digest, keys._source, keys._imports):
        cached.cache_clear()


def comment(file):
    with file.open("a") as opened:
        opened.write("# a comment\n")
    forget()


@pytest.mark.parametrize(
    "module", ["study/progress.py", "zoo/unet.py", "sparse/train.py", "adapters/convert.py"]
)
def test_a_comment_in_a_module_that_no_step_imports_reruns_nothing(study, package, module):
    comment(package / module)
    assert not Dag(study, FIVE).needed


def test_an_edit_of_one_representation_extracts_that_one_again(study, package):
    comment(package / "features/spectral.py")
    dag = Dag(study, FIVE)
    assert dag.values("extract", "representation") == {"spectral"}
    assert dag.values("train", "representation") == {"spectral", "ensemble"}
    assert set(dag.needed) - {"extract", "train"} == FINAL


def test_more_seeds_train_the_new_ones_alone(study):
    dag = Dag(study, {**FIVE, "seeds": 3})
    assert dag.values("train", "first") == {"44"}
    assert set(dag.needed) == {"train", "stamp", "aggregate", "page", "report"}


def test_swapped_learning_rate_and_weight_decay_train_again(tmp_path):
    one = {"learning_rate": 0.001, "weight_decay": 0.0001}
    finish(tmp_path, {**FIVE, "mlp": one})
    assert not Dag(tmp_path, {**FIVE, "mlp": dict(reversed(one.items()))}).needed
    swapped = {"learning_rate": one["weight_decay"], "weight_decay": one["learning_rate"]}
    dag = Dag(tmp_path, {**FIVE, "mlp": swapped})
    assert len(dag.needed["train"]) == 3 * 2 * 2
    assert set(dag.needed) == {"train", "stamp", "aggregate", "page", "report"}


def test_new_data_under_the_same_name_are_noticed(tmp_path):
    config = {**FIVE, "datasets": {"five": {"source": "disk", "path": str(tmp_path / "set")}}}
    make_dataset(make_weights(20, NARROW)).save_to_disk(tmp_path / "set")
    finish(tmp_path, config)
    assert not Dag(tmp_path, config).needed
    shutil.rmtree(tmp_path / "set")
    make_dataset(make_weights(20, NARROW, seed=1)).save_to_disk(tmp_path / "set")
    assert {"prepare", "label", "passport", "extract", "train"} <= set(Dag(tmp_path, config).needed)
