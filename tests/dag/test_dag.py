"""The DAG, built in-process: what runs for which target, and what a change of settings costs."""

import json
import shutil
from collections import Counter

import pytest
from snakemake_interface_common.exceptions import WorkflowError

import published
from hub import write_pin
from planning import Dag


def planned(folder, *targets, **config) -> Counter:
    """Return how many jobs of each rule a dry run would do."""
    return Dag(folder, *targets, **config).planned


def test_the_default_target_is_the_page_of_the_zoo(tmp_path):
    assert planned(tmp_path) == {
        "zoo_train": 10,
        "zoo_picture": 1,
        "prepare": 1,
        "label": 1,
        "passport": 1,
        "fit": 4,
        "extract": 22,
        "train": 48,
        "rank_layers": 1,
        "adapter_map": 1,
        "control": 1,
        "stamp": 1,
        "aggregate": 1,
        "keep_probes": 1,
        "page": 1,
        "report": 1,
    }


def test_one_representation_needs_only_its_own_features(tmp_path):
    expected = {"prepare": 1, "label": 1, "passport": 1, "extract": 2, "train": 4, "spectral": 1}
    assert planned(tmp_path, "spectral", dataset="sanity") == expected


def test_ensemble_extracts_its_five_parts_and_nothing_of_its_own(tmp_path):
    assert planned(tmp_path, "ensemble", dataset="sanity")["extract"] == 10


def test_visual_alone_extracts_self_attention_alone(tmp_path):
    assert planned(tmp_path, "stats", dataset="sanity", layer_sets=["visual"])["extract"] == 1


@pytest.mark.parametrize(("grouping", "groups"), [("attention", 2), ("block", 6), ("layer", 20)])
def test_groupings(tmp_path, grouping, groups):
    assert planned(tmp_path, "stats", dataset="sanity", grouping=grouping)["extract"] == groups


def test_seeds_are_cut_into_blocks(tmp_path):
    assert planned(tmp_path, "stats", dataset="sanity", seeds=7, seeds_per_job=3)["train"] == 2 * (3 + 1)


def test_features_alone_train_nothing(tmp_path):
    jobs = planned(tmp_path, "features", dataset="sanity")
    assert jobs["extract"] == 22
    assert "train" not in jobs


def test_two_data_sets_share_nothing_but_rules(tmp_path):
    jobs = planned(tmp_path, dataset=["sanity", "zoo"])
    assert (jobs["prepare"], jobs["page"], jobs["train"]) == (2, 2, 96)


def test_a_base_of_ones_own_is_trained_once(tmp_path):
    zoo = {"source": "zoo", "adapters": 30, "base": "train", "base_steps": 3}
    assert planned(tmp_path, dataset="mine", datasets={"mine": zoo})["zoo_base"] == 1


def test_sparse_training_has_a_run_for_each_gate_and_seed(tmp_path):
    once = ("sparse_images", "stamp", "sparse_compare", "sparse_page", "sparse")
    gates = ["dense", "uniform", "free_loss@0.5"]
    expected = {**dict.fromkeys(once, 1), "sparse_train": 6}
    assert planned(tmp_path, "sparse", sparse={"gates": gates, "seeds": 2}) == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sedes": 3}, "unknown key 'sedes'; did you mean 'seeds'"),
        ({"mlp": {"learning_rate": "fast"}}, "mlp.learning_rate: 'fast' is text, not a number"),
        ({"representations": ["spectrl"]}, "unknown name 'spectrl'; did you mean 'spectral'"),
        ({"dataset": "zooo"}, "unknown name 'zooo'; did you mean 'zoo'"),
        ({"layer_sets": ["visuel"]}, "unknown name 'visuel'; did you mean 'visual'"),
        ({"datasets": {"mine": {"source": "disk"}}}, "'path' is a required property"),
        ({"sparse": {"gates": ["dnse"]}}, "gate 'dnse': unknown; there are: dense"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(tmp_path, config, message):
    with pytest.raises(WorkflowError) as refusal:
        planned(tmp_path, **config)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value).strip()


def test_a_path_of_other_settings_is_refused(tmp_path):
    stale = "results/sanity/features/stats/0123456789/attn1.parquet"
    with pytest.raises(WorkflowError, match="belongs to other settings"):
        planned(tmp_path, stale, dataset="sanity")


def test_no_job_without_a_reason(tmp_path):
    """The workflow must not write while it is parsed: two dry runs say the same and leave nothing."""
    first = planned(tmp_path, dataset="sanity")
    shutil.rmtree(tmp_path / ".snakemake", ignore_errors=True)
    assert planned(tmp_path, dataset="sanity") == first
    assert not (tmp_path / "results").exists()


def test_where_features_are_shared_is_no_reason_to_run_again(tmp_path):
    """Snakemake runs a job again when its parameters change, but for those that it takes for derived."""

    def tracked(**config):
        jobs = Dag(tmp_path, dataset="sanity", **config).needed
        return {tuple(job.output): sorted(map(str, job.non_derived_params)) for job in jobs}

    plain, shared = tracked(), tracked(features_dir=str(tmp_path / "store"))
    assert shared == plain
    assert not (tmp_path / "store").exists()


def test_importance_needs_no_cell(tmp_path):
    expected = {"prepare": 1, "label": 1, "fit": 2, "extract": 2, "rank_layers": 1, "adapter_map": 1}
    assert planned(tmp_path, "importance", dataset="sanity") == expected | {"importance": 1}


def test_what_is_switched_off_does_not_run(tmp_path):
    off = {"importance": {"representation": None}, "adapter_map": {"adapters": 0}}
    jobs = planned(tmp_path, "summary", dataset="sanity", representations=["stats"], **off)
    assert not {"rank_layers", "adapter_map"} & set(jobs)


def test_another_number_of_layers_to_remove_ranks_anew_and_trains_nothing(tmp_path):
    first = planned(tmp_path, "importance", dataset="sanity", importance={"remove": [3]})
    assert first["rank_layers"] == 1
    assert "train" not in first


BROKEN = {"source": "disk", "path": "/absent"}


ON_HUB = {"dataset": "mine", "datasets": {"mine": {"source": "hub", "path": "owner/name"}}}
HUB_IMAGES = {"images": {"source": "hub", "path": "owner/name"}, "gates": ["dense", "uniform"], "seeds": 1}


def test_a_set_on_the_hub_is_downloaded_where_snakemake_runs_and_laid_out_from_that(tmp_path):
    write_pin(tmp_path / "results/mine", "a" * 40)
    first = Dag(tmp_path, "stats", **ON_HUB)
    assert (first.planned["download"], first.planned["prepare"]) == (1, 1)
    (download,), (prepare,) = first.of("download"), first.of("prepare")
    assert list(prepare.input) == list(download.output)
    local = first.workflow._localrules
    assert "download" in local
    assert "prepare" not in local
    first.finish()
    assert not Dag(tmp_path, "stats", **ON_HUB).needed
    # What it was downloaded for is done.
    (tmp_path / str(download.output[0])).unlink()
    assert not Dag(tmp_path, "stats", **ON_HUB).needed
    write_pin(tmp_path / "results/mine", "b" * 40)
    assert Dag(tmp_path, "stats", **ON_HUB).planned == first.planned


def test_images_on_the_hub_are_downloaded_where_snakemake_runs(tmp_path):
    write_pin(tmp_path / "results/sparse/hub", "a" * 40, split=None)
    dag = Dag(tmp_path, "sparse", sparse=HUB_IMAGES)
    (download,), (images,) = dag.of("download"), dag.of("sparse_images")
    assert list(images.input) == list(download.output)
    assert str(download.output[0]).startswith("results/sparse/hub/download/")
    dag.finish()
    assert not Dag(tmp_path, "sparse", sparse=HUB_IMAGES).needed


def test_images_on_the_hub_without_a_column_are_refused(tmp_path):
    write_pin(tmp_path / "results/sparse/hub", "a" * 40, split=None)
    images = {**HUB_IMAGES["images"], "label": "klass"}
    with pytest.raises(Exception, match="owner/name: no column 'klass'; columns: category_label"):
        planned(tmp_path, "sparse", sparse=HUB_IMAGES | {"images": images})


def test_a_download_of_what_is_not_on_the_hub_is_refused(tmp_path):
    with pytest.raises(WorkflowError, match="sanity: not on the hub; nothing to download"):
        planned(tmp_path, "results/sanity/download/0123456789.json", dataset="sanity")


def with_broken(folder, *targets, dataset=("five", "broken"), **config):
    both = {"five": {"source": "sanity"}, "broken": BROKEN}
    return Dag(folder, *targets, dataset=list(dataset), datasets=both, representations=["stats"], **config)


def test_a_data_set_that_cannot_be_used_stops_itself_alone(tmp_path):
    alone = with_broken(tmp_path, dataset=["five"]).planned
    assert "unusable" not in alone
    both = with_broken(tmp_path)
    assert both.planned == alone + Counter(unusable=1)
    (failing,) = both.of("unusable")
    assert failing.params.why == "lorascope: error: /absent: no such folder"
    assert with_broken(tmp_path, "five").planned == alone - Counter(report=1) + Counter(five=1)
    for target in ("summary", "features", "importance", "stats"):
        assert with_broken(tmp_path, target).planned["unusable"] == 1, target
    assert with_broken(tmp_path, "five", "broken").planned["unusable"] == 1
    # Nobody asked for it.
    assert "unusable" not in with_broken(tmp_path, "five", dataset=["broken"]).planned


@pytest.mark.parametrize(
    ("targets", "dataset"), [(["broken"], ["five"]), (["broken"], ["broken"]), ([], ["broken"])]
)
def test_where_nothing_can_be_made_the_reason_is_told_while_planning(tmp_path, targets, dataset):
    with pytest.raises(Exception, match="/absent: no such folder"):
        with_broken(tmp_path, *targets, dataset=dataset)


def test_text_of_the_command_line_means_what_it_says(tmp_path):
    published.make_dataset(published.make_weights(4, published.NARROW)).save_to_disk(tmp_path / "set")
    given = {"source": "disk", "path": str(tmp_path / "set"), "group": "null", "max_rejected": "0.5"}
    dag = Dag(
        tmp_path, "stats", dataset="mine", datasets={"mine": given}, probes=["mlp"], mlp={"epochs": "3"}
    )
    (label,), (prepare,) = dag.of("label"), dag.of("prepare")
    assert json.loads(label.params.settings)["group"] is None
    assert json.loads(prepare.params.settings)["max_rejected"] == 0.5
    assert {json.loads(job.params.settings)["epochs"] for job in dag.of("train")} == {3}
