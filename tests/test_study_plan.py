"""The plan: which key depends on which setting, and which file on which key."""

import copy
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import published
from adapter_folder import write_tree
from hub import write_pin
from lorascope.errors import LorascopeError
from lorascope.features.registry import of_matrices, parts
from lorascope.study.analyses import importance
from lorascope.study.config import load_config, read_config
from lorascope.study.plan import Plan

N = 20
STUDIES = Path(__file__).parents[1] / "studies"
COMPUTED = tuple(name for name in of_matrices() if parts(name) == (name,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set in the published schema, on disk."""
    path = tmp_path_factory.mktemp("plan") / "set"
    published.make_dataset(published.make_weights(N, published.NARROW)).save_to_disk(path)
    return path


@pytest.fixture
def study(folder):
    """Return a function that plans the study of that data set with other settings."""

    def plan(dataset=None, **settings):
        own = {"source": "disk", "path": str(folder), **(dataset or {})}
        config = {"dataset": "mine", "datasets": {"mine": own}, "probes": ["mlp"], **settings}
        return Plan(load_config(config))

    return plan


def keys(plan):
    """Return the keys of every step."""
    return {
        "data": plan.data_key("mine"),
        "labels": plan.label_key("mine"),
        "passport": plan.passport_key("mine"),
        "controls": plan.control_key("mine"),
        "features": {name: plan.feature_key("mine", name) for name in COMPUTED},
        "cells": {(cell.representation, cell.layer_set): cell.key for cell in plan.cells("mine")},
        "study": plan.study_key("mine"),
    }


def changed(one, other):
    """Return the steps whose keys differ between two plans; all keys of a step, or none."""
    before, after = keys(one), keys(other)
    steps = {step for step in before if before[step] != after[step]}
    for step in steps & {"features", "cells"}:
        assert not set(before[step].values()) & set(after[step].values())
    return steps


AFTER_LABELS = {"labels", "passport", "controls", "cells", "study"}
EVERYTHING = {"data", "labels", "passport", "controls", "features", "cells", "study"}


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, set()),
        ({"seeds": 6}, {"study"}),
        ({"first_seed": 7}, {"study"}),
        ({"seeds_per_job": 2}, {"study"}),
        ({"split": {"seed": 43}}, AFTER_LABELS),
        ({"split": {"train": 0.6, "test": 0.3}}, AFTER_LABELS),
        ({"dataset": {"label": "category_name"}}, AFTER_LABELS),
        ({"dataset": {"group": "category_name"}}, AFTER_LABELS),
        ({"mlp": {"epochs": 299}}, {"cells", "study"}),
        ({"controls": ["norms"]}, {"controls", "study"}),
        ({"control_draws": 10}, {"controls", "study"}),
        ({"mlp": {"learning_rate": 0.0001, "weight_decay": 0.001}}, {"cells", "study"}),
        ({"mlp": {"hidden": [512, 512]}}, {"cells", "study"}),
        ({"dataset": {"hub_split": "test"}}, EVERYTHING),
        ({"grouping": "block"}, EVERYTHING),
    ],
    # A set's own text changes from process to process.
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set | frozenset) else str(value),
)
def test_a_setting_changes_the_steps_that_it_matters_to(study, settings, steps):
    own = dict(settings)
    assert changed(study(), study(own.pop("dataset", None), **own)) == steps


def test_the_order_of_settings_does_not_matter(study):
    one = study(mlp={"epochs": 3, "dropout": 0.1}, split={"seed": 1, "train": 0.7})
    assert changed(one, study(split={"train": 0.7, "seed": 1}, mlp={"dropout": 0.1, "epochs": 3})) == set()


def test_a_pattern_that_selects_the_same_layers_is_the_same_cell(study):
    patterns = {"all": "*", "visual": ["*.attn1.to_q", "*.attn1.to_v"]}
    assert changed(study(), study(layer_patterns=patterns)) == set()
    patterns["visual"] = "*.attn1.to_q"
    one, other = keys(study())["cells"], keys(study(layer_patterns=patterns))["cells"]
    assert {cell for cell in one if one[cell] != other[cell]} == {
        (name, "visual") for name in study().config["representations"]
    }


def test_the_order_of_layer_sets_counts_for_the_results_alone(study):
    assert changed(study(), study(layer_sets=["visual", "all"])) == {"controls", "study"}


def test_results_may_lie_elsewhere(study):
    elsewhere = study(results="/tmp/elsewhere")
    assert changed(study(), elsewhere) == set()
    assert all(path.startswith("/tmp/elsewhere/mine/") for path in elsewhere.cell_files("mine"))


def test_data_that_moved_or_was_touched_is_the_same(study, folder, tmp_path):
    before = study()
    keys(before)
    os.utime(next(folder.glob("*.arrow")), (0, 0))
    assert changed(before, study()) == set()
    moved = tmp_path / "moved"
    moved.symlink_to(folder)
    assert changed(before, study({"path": str(moved)})) == set()


def test_other_data_change_everything(study, tmp_path):
    published.make_dataset(published.make_weights(N, published.NARROW, seed=1)).save_to_disk(tmp_path / "set")
    assert changed(study(), study({"path": str(tmp_path / "set")})) == EVERYTHING


def test_a_hub_data_set_is_its_commit(tmp_path):
    """By whichever name, wherever and whenever it was pinned."""

    def plan(commit="a" * 40, place="one", about=None, **settings):
        own = {"source": "hub", "path": "owner/name", "revision": "main", **settings}
        results = tmp_path / place
        about = {"path": own["path"], "revision": own["revision"], **(about or {})}
        write_pin(results / "mine", commit, **about)
        config = {"dataset": "mine", "datasets": {"mine": own}, "results": str(results)}
        made = Plan(load_config(config))
        made.check_dataset("mine")
        return made

    assert changed(plan(), plan()) == set()
    assert (
        changed(plan(), plan(place="two", about={"pinned": "2026-02-02", "endpoint": "https://two"})) == set()
    )
    assert changed(plan(), plan(revision="v1")) == set()
    assert changed(plan(), plan("b" * 40)) == EVERYTHING
    assert changed(plan(), plan(path="owner/other")) == EVERYTHING
    assert changed(plan(), plan(label="category_name")) == AFTER_LABELS
    assert plan().layers("mine") == tuple(published.layers())
    (marker,) = plan().download("mine")
    assert plan("b" * 40).download("mine") != [marker]
    assert plan(label="category_name").download("mine") == [marker]
    with pytest.raises(LorascopeError, match="no label column 'another'; there are: adapter, category_label"):
        plan(label="another")


def test_a_zoo_is_its_recipe():
    def plan(**knobs):
        return Plan(load_config({"dataset": "mine", "datasets": {"mine": {"source": "zoo", **knobs}}}))

    assert changed(plan(), plan()) == set()
    assert changed(plan(), plan(adapters=410)) == EVERYTHING
    assert changed(plan(), plan(steps=51)) == EVERYTHING
    assert len(plan(adapters=90, block=40).shards("mine")) == 3
    assert plan().base("mine") == []
    assert plan(base="train").base("mine")[0].endswith("/base.safetensors")
    assert plan(base="train").zoo_key("mine") != plan().zoo_key("mine")
    assert len(plan().picture("mine")) == 1


def test_other_sources_have_no_shards_and_no_picture(study, refused):
    assert study().shards("mine") == []
    assert study().picture("mine") == []
    with refused("config: datasets.mine: not a zoo"):
        study().recipe("mine")


def features(plan, layer_set, representation="stats"):
    return plan.cell("mine", layer_set, representation, "mlp").features


@pytest.mark.parametrize(
    ("grouping", "of_all", "of_visual"), [("attention", 2, 1), ("block", 14, 7), ("layer", 64, 32)]
)
def test_layer_sets_share_the_files_of_their_groups(study, grouping, of_all, of_visual):
    plan = study(grouping=grouping)
    assert len(features(plan, "all")) == of_all
    assert len(features(plan, "visual")) == of_visual
    assert set(features(plan, "visual")) | set(features(plan, "text")) == set(features(plan, "all"))
    assert not set(features(plan, "visual")) & set(features(plan, "text"))
    assert len(plan.groups("mine")) == of_all


def test_a_layer_set_of_part_of_a_group_reads_the_whole_file(study):
    plan = study(layer_patterns={"all": "*", "some": "*.attn1.to_q"}, layer_sets=["all", "some"])
    assert set(features(plan, "some")) < set(features(plan, "all"))
    assert len(plan.cell("mine", "some", "stats", "mlp").layers) == 16


def test_the_ensemble_has_no_features_of_its_own(study):
    parts = ("spectral", "matrix_norms", "distribution", "frequency", "info_theoretic")
    for layer_set in ("all", "visual"):
        expected = tuple(path for part in parts for path in features(study(), layer_set, part))
        assert features(study(), layer_set, "ensemble") == expected


def test_cells_are_all_combinations(study):
    plan = study(representations=["stats", "ensemble"], layer_sets=["all", "visual", "text"])
    cells = [(cell.representation, cell.layer_set) for cell in plan.cells("mine")]
    assert cells == [
        (name, layer_set) for name in ("stats", "ensemble") for layer_set in ("all", "visual", "text")
    ]
    assert [cell.representation for cell in plan.cells("mine", ["ensemble"])] == ["ensemble"] * 3
    assert len({cell.key for cell in plan.cells("mine")}) == 6
    assert len(set(plan.cell_files("mine"))) == 6 * 2
    assert plan.cell_files("mine", ["stats"]) == plan.cell_files("mine")[:6]


def test_every_path_holds_the_key_of_its_step(study):
    plan = study()
    cell = plan.cell("mine", "visual", "stats", "mlp")
    assert plan.data_folder("mine") == f"results/mine/data/{plan.data_key('mine')}"
    assert plan.label_folder("mine") == f"results/mine/labels/{plan.label_key('mine')}"
    assert cell.features == (
        f"results/mine/features/stats/{plan.feature_key('mine', 'stats')}/attn1.parquet",
    )
    assert cell.folder == f"results/mine/probes/stats/visual.mlp/{cell.key}"
    assert cell.runs == [f"{cell.folder}/seeds-42-46.runs.parquet"]
    assert cell.details == [f"{cell.folder}/seeds-42-46.details.parquet"]
    assert cell.log(cell.blocks[0]) == f"logs/mine/train/stats/visual.mlp.{cell.key}.seeds-42-46.log"
    assert plan.stamp("mine") == f"results/studies/default/mine/.study/{plan.study_key('mine')}"


@given(first=st.integers(0, 100), count=st.integers(1, 60), size=st.integers(1, 70))
def test_blocks_hold_every_seed_exactly_once(first, count, size):
    settings = {"first_seed": first, "seeds": count, "seeds_per_job": size}
    plan = Plan(load_config({"dataset": "five", "datasets": {"five": {"source": "sanity"}}, **settings}))
    blocks = plan.blocks("mlp")
    seeds = [seed for block in blocks for seed in range(block.first, block.last + 1)]
    assert seeds == list(range(first, first + count))
    assert all(1 <= block.last - block.first + 1 <= size for block in blocks)
    assert len({block.name for block in blocks}) == len(blocks)


def test_what_aggregate_is_told_is_plain_json(study):
    plan = study(seeds=4, seeds_per_job=3)
    told = plan.aggregation("mine")
    assert json.loads(json.dumps(told)) == told
    read = [path for cell in told["cells"] for path in cell["runs"] + cell["details"]]
    assert read == [path for path in plan.cell_files("mine") if path.endswith(".parquet")]
    assert all(len(cell["logs"]) == 2 for cell in told["cells"])
    assert list(told["settings"]["datasets"]) == ["mine"]
    assert told["keys"]["study"] == plan.study_key("mine")


def test_planning_leaves_the_settings_as_they_were(study):
    plan = study()
    before = copy.deepcopy(plan.config)
    keys(plan), plan.aggregation("mine"), plan.check()
    assert plan.config == before


def test_what_is_wrong_with_the_data_is_said_before_anything_runs(study, refused, tmp_path):
    with refused("absent: no such folder"):
        study({"path": str(tmp_path / "absent")}).check_dataset("mine")
    with refused("mine: layer set 'ff': no layer matches"):
        study(layer_patterns={"ff": "*.ff.*"}, layer_sets=["ff"]).check_dataset("mine")
    with refused("zoo: unknown (setting|key) 'adaptors'"):
        Plan(load_config({"datasets": {"zoo": {"source": "zoo", "adaptors": 3}}})).check()
    with refused("mine: no label column 'class'; there are: adapter, category_label, category_name, folder"):
        study({"label": "class"}).check_dataset("mine")
    with refused("mine: no group column 'leaf'; there are: adapter, category_label"):
        study({"group": "leaf"}).check_dataset("mine")


def test_columns_known_to_be_empty_are_refused_before_anything_runs(tmp_path, refused):
    weights = dict(list(published.make_weights(4, published.NARROW).items())[:2])
    columns = {"nothing": pa.nulls(4), "some": ["a", None, None, "b"], "all": ["a", "b", "a", "b"]}
    published.make_dataset(weights, columns).to_parquet(tmp_path / "set" / "all.parquet")
    settings = {"source": "disk", "path": str(tmp_path / "set"), "label": "all"}
    for column, words in (("nothing", "all rows|4 row"), ("some", r"2 rows")):
        for role in ("label", "group"):
            plan = Plan(load_config({"dataset": "mine", "datasets": {"mine": {**settings, role: column}}}))
            with refused(f"mine: {role} column '{column}' is empty in ({words}).*; choose another"):
                plan.check_dataset("mine")
    Plan(load_config({"dataset": "mine", "datasets": {"mine": settings}})).check_dataset("mine")


def test_columns_of_adapter_files_are_looked_up_before_anything_runs(tmp_path, refused):
    write_tree(tmp_path / "loras", 2)
    (tmp_path / "loras" / "labels.csv").write_text("path,kind,leaf,nothing\ncat/000.safetensors,cat,a,\n")
    base = {"source": "folder", "path": str(tmp_path / "loras")}

    def check(**settings):
        plan = Plan(load_config({"dataset": "mine", "datasets": {"mine": {**base, **settings}}}))
        plan.check_dataset("mine")

    check()
    check(group="family")
    check(labels="labels.csv", label="kind", group="leaf")
    with refused("mine: no label column 'kind'; there are: adapter, label, family"):
        check(label="kind")
    with refused("labels.csv: no column 'label'; there are: path, kind, leaf, nothing"):
        check(labels="labels.csv")
    with refused("mine: no group column 'twig'; there are: .*leaf"):
        check(labels="labels.csv", label="kind", group="twig")
    with refused("mine: label column 'nothing' is empty in all rows"):
        check(labels="labels.csv", label="nothing")


def test_a_data_set_that_cannot_be_used_is_left_out(study, tmp_path):
    broken = {"source": "disk", "path": str(tmp_path / "absent")}
    config = study().config
    plan = Plan(
        {**config, "dataset": ["broken", "mine"], "datasets": {**config["datasets"], "broken": broken}}
    )
    plan.check()
    assert (plan.left_out, plan.config["dataset"]) == (["broken"], ["mine"])
    assert plan.unusable("broken").endswith("absent: no such folder")
    assert plan.unusable("mine") == ""
    assert plan.key() == study().key()


def test_absent_garments_are_missed_before_anything_runs(tmp_path, refused):
    zoo = {"source": "zoo", "images_source": "mnist+fashion", "fashion_folder": str(tmp_path)}
    plan = Plan(load_config({"dataset": "mine", "datasets": {"mine": zoo}}))
    with refused("no Fashion-MNIST in .* install Debian's dataset-fashion-mnist"):
        plan.check_dataset("mine")
    (tmp_path / "t10k-images-idx3-ubyte.gz").touch()
    plan.check_dataset("mine")


@pytest.mark.parametrize("name", ["study-1k", "study-hard"])
def test_named_studies_are_complete(name):
    plan = Plan(load_config(read_config([STUDIES / f"{name}.yaml"], [])))
    (dataset,) = plan.config["dataset"]
    assert len(plan.recipe(dataset).classes) == (20 if name == "study-hard" else 10)
    assert {"permuted", "mlp"} <= {cell.probe for cell in plan.cells(dataset)}
    assert plan.config["layer_sets"] == ["all", "visual"]


def test_layers_of_the_first_layer_set_are_ranked(study):
    for layer_sets in (["visual", "all"], ["all", "visual"]):
        plan = study(layer_sets=layer_sets)
        ranked = importance(plan, "mine")
        assert list(ranked.layers) == plan.layer_set("mine", layer_sets[0])
