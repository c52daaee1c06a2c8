"""Settings: documented, defaults in one place, and every mistake answered with one line."""

import copy
import re

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from lorascope.data.split import SplitSettings
from lorascope.features.registry import of_matrices
from lorascope.probes.mlp import MLPSettings
from lorascope.study.config import DEFAULT_STUDY, TARGETS, load_config, read_config, schema
from lorascope.study.keys import canonical_json
from lorascope.zoo.recipe import Recipe

DEFAULT = yaml.safe_load(DEFAULT_STUDY.read_text())
ZOO = {"datasets": {"zoo": {"source": "zoo"}}}


def config(**settings):
    """Return the smallest study with some settings."""
    return {**ZOO, **settings}


def keys_of(part, path=""):
    """Yield (path, entry) of every key of the schema, with references followed."""
    for name, entry in part.get("properties", {}).items():
        if reference := entry.get("$ref"):
            entry = {**schema()["$defs"][reference.rpartition("/")[2]], **entry}
        yield f"{path}{name}", entry
        yield from keys_of(entry, f"{path}{name}.")


def all_keys():
    yield from keys_of(schema())
    yield from keys_of(schema()["properties"]["datasets"]["additionalProperties"], "datasets.*.")
    for source in ("sanity", "disk", "folder", "hub", "zoo"):
        yield from keys_of(schema()["$defs"][source], f"{source}.")


def test_every_key_has_a_description():
    # A constant only says which kind of data set the others belong to.
    undocumented = [path for path, entry in all_keys() if "description" not in entry and "const" not in entry]
    assert undocumented == []


def test_every_key_has_a_default_unless_it_is_required():
    required = {"datasets.*.source", "disk.path", "folder.path", "hub.path"}
    bare = {path for path, entry in all_keys() if "default" not in entry and "const" not in entry}
    assert bare == required


def test_the_default_study_shows_every_key_with_its_default():
    shown = {path for path, _ in keys_of(schema())}
    assert set(DEFAULT) == {path for path in shown if "." not in path}
    sections = {name: entry for name, entry in schema()["properties"].items() if "properties" in entry}
    assert {name: set(DEFAULT[name]) for name in sections} == {
        name: set(entry["properties"]) for name, entry in sections.items()
    }
    # The zoo shows one knob with a value of its own: that it has knobs.
    assert load_config({"datasets": DEFAULT["datasets"]}) == load_config(DEFAULT)


def test_the_defaults_are_those_of_the_code():
    filled = load_config(config())
    assert filled["mlp"] == {**vars(MLPSettings()), "hidden": list(MLPSettings().hidden)}
    assert filled["split"] == vars(SplitSettings())
    added = {"delta_spectrum", "delta_kernel", "delta_gram"}
    assert set(filled["representations"]) == {*of_matrices(), *added}


def test_the_protocol():
    filled = load_config(DEFAULT)
    assert filled["split"] == {"seed": 42, "train": 0.7, "validation": 0.1, "test": 0.2}
    assert filled["mlp"]["hidden"] == [512, 512, 512]
    assert filled["first_seed"] == 42
    assert filled["layer_sets"] == ["all", "visual"]
    assert filled["dataset"] == ["zoo"]
    for size in ("1k", "10k", "50k", "100k"):
        assert filled["datasets"][f"lora-ws-{size}"] == {
            "source": "hub",
            "path": f"jacekduszenko/lora-ws-{size}",
            "revision": "main",
            "label": "category_label",
            "group": "category_name",
            "hub_split": "train",
            "max_rejected": 0.05,
        }


def test_one_data_set_or_several():
    assert load_config(config(dataset="zoo"))["dataset"] == ["zoo"]
    two = {"datasets": {"zoo": {"source": "zoo"}, "sanity": {"source": "sanity"}}}
    assert load_config({**two, "dataset": ["sanity", "zoo"]})["dataset"] == ["sanity", "zoo"]


def test_given_settings_stay_and_the_rest_is_filled_in():
    given = config(
        mlp={"epochs": 3}, layer_patterns={"all": "*", "mine": ["*.to_q", "*.to_v"]}, layer_sets=["mine"]
    )
    filled = load_config(given)
    assert filled["mlp"]["epochs"] == 3
    assert filled["mlp"]["dropout"] == 0.5
    assert filled["layer_patterns"] == given["layer_patterns"]
    assert given["mlp"] == {"epochs": 3}  # the argument is left as it was
    assert load_config(filled) == filled


def test_defaults_are_not_shared_between_studies():
    load_config(config())["mlp"]["hidden"].append(1)
    assert load_config(config())["mlp"]["hidden"] == [512, 512, 512]


DISK = {"source": "disk", "path": "x"}


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        (config(sedes=3), "config: unknown key 'sedes'; did you mean 'seeds'?"),
        (config(qqq=3), "config: unknown key 'qqq'; known keys: results, study, dataset"),
        (config(mlp={"epoch": 3}), "config: mlp: unknown key 'epoch'; did you mean 'epochs'?"),
        (config(split={"val": 0.1}), "config: split: unknown key 'val'"),
        (
            config(datasets={"zoo": {**DISK, "lable": "x"}}),
            "datasets.zoo: unknown key 'lable'; did you mean 'label'?",
        ),
        (
            config(mlp={"learning_rate": "1e-3"}),
            "mlp.learning_rate: '1e-3' is text, not a number; .*write 0.001",
        ),
        (
            config(mlp={"epochs": "3"}),
            "mlp.epochs: '3' is text, not a whole number; .*write 3 without quotes",
        ),
        (config(mlp={"epochs": "1e2"}), "mlp.epochs: '1e2' is text, not a whole number; .*write 100 without"),
        (config(mlp={"learning_rate": "fast"}), "mlp.learning_rate: 'fast' is text, not a number$"),
        (config(mlp={"learning_rate": "nan"}), "mlp.learning_rate: 'nan' is text, not a number$"),
        (config(mlp={"learning_rate": float("nan")}), "mlp.learning_rate: nan is not finite, not a number"),
        (config(mlp={"weight_decay": float("inf")}), "mlp.weight_decay: inf is not finite, not a number"),
        (config(mlp={"learning_rate": 0}), "mlp.learning_rate: 0 is less than or equal to the minimum of 0"),
        (config(mlp={"learning_rate": True}), "mlp.learning_rate: True is true/false, not a number"),
        (config(mlp={"dropout": 1}), "mlp.dropout: 1 is greater than or equal to the maximum of 1"),
        (config(mlp={"hidden": 512}), "mlp.hidden: 512 is a whole number, not a list"),
        (config(mlp={"hidden": [512, 1.5]}), r"mlp.hidden.1: 1.5 is a number, not a whole number"),
        (config(mlp=None), "config: mlp: None is empty, not a map"),
        (config(seeds=0), "config: seeds: 0 is less than the minimum of 1"),
        (config(seeds=2.5), "config: seeds: 2.5 is a number, not a whole number"),
        (config(seeds=5.0), "config: seeds: 5.0 is a number, not a whole number"),
        (config(seeds=True), "config: seeds: True is true/false, not a whole number"),
        (config(layer_sets="all"), "config: layer_sets: 'all' is text, not a list"),
        (config(layer_sets=[]), r"config: layer_sets: \[\] should be non-empty"),
        (config(layer_sets=["all", "all"]), r"config: layer_sets: .* has non-unique elements"),
        (config(dataset=["zoo", "zoo"]), r"config: dataset: .* has non-unique elements"),
        (config(layer_sets=["all", "visul"]), "layer_sets: unknown name 'visul'; did you mean 'visual'?"),
        (config(representations="spectral"), "config: representations: 'spectral' is text, not a list"),
        (
            config(representations=["spectrum"]),
            "representations: unknown name 'spectrum'; did you mean 'spectral'?",
        ),
        (
            config(representations=["xyz"]),
            "representations: unknown name 'xyz'; known: canonical, delta_bilinear",
        ),
        (config(probes=["svm"]), "config: probes: unknown name 'svm'; known: class_means"),
        (config(grouping="blocks"), "config: grouping: 'blocks' is not one of attention, block, layer"),
        (config(dataset="zo"), "config: dataset: unknown name 'zo'; did you mean 'zoo'?"),
        (config(dataset=7), "config: dataset: 7 is a whole number, not text or a list"),
        ({}, "config: dataset: unknown name 'zoo'; known: none"),
        (
            config(datasets={"zoo": {"source": "web"}}),
            "datasets.zoo.source: 'web' is not one of zoo, hub, disk, folder, sanity",
        ),
        (config(datasets={"zoo": {}}), "datasets.zoo: 'source' is a required property"),
        (config(datasets={"zoo": None}), "datasets.zoo: None is empty, not a map"),
        (config(datasets={"zoo": {"source": "disk"}}), "config: datasets.zoo: 'path' is a required property"),
        (
            config(datasets={"zoo": {**DISK, "group": 7}}),
            "datasets.zoo: group: 7 is a whole number, not text or",
        ),
        (config(datasets={"zoo/a": DISK}), "datasets: 'zoo/a' does not match"),
        (config(layer_patterns={"All!": "*"}), "layer_patterns: 'All!' does not match"),
        (config(layer_patterns={"all": 3}), "layer_patterns.all: 3 is a whole number, not text or a list"),
        (config(split={"train": 0.9}), "split: shares add up to 1.2, not 1"),
        (config(split={"train": 0.0}), "split.train: 0.0 is less than or equal to the minimum of 0"),
        (config(results="two\nlines", sedes="two\nlines"), "unknown key 'sedes'"),
        (config(seeds="two\nlines"), r"seeds: 'two\\nlines' is text"),
    ],
)
def test_mistakes_are_answered_with_one_line(refused, settings, pattern):
    with refused(pattern):
        load_config(settings)


def test_something_else_than_a_map_is_refused(refused):
    with refused("config: .* is a list, not a map"):
        load_config([1, 2])


# what `progress` reads must be what snakemake reads


def test_files_lie_on_top_of_the_default_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("seeds: 2\nmlp: {epochs: 7}\ndatasets: {mine: {source: sanity}}")
    (tmp_path / "two.yaml").write_text("mlp: {batch: 8}")
    read = read_config(["one.yaml", "two.yaml"], ["dataset=mine"])
    expected = {**DEFAULT, "seeds": 2, "dataset": "mine"}
    expected["mlp"] = {**DEFAULT["mlp"], "epochs": 7, "batch": 8}
    expected["datasets"] = {**DEFAULT["datasets"], "mine": {"source": "sanity"}}
    assert read == expected


@pytest.mark.parametrize(
    "override",
    [
        "seeds=3",
        "dataset=lora-ws-1k",
        "layer_sets=[all, text]",
        "first_seed=007",
        "mlp={hidden: [a]}",
        "results=a=b",
        "seeds=",
    ],
)
def test_overrides_are_read_as_snakemake_reads_them(override):
    name, value = parse_config([override]).popitem()
    read = read_config([], [override])[name]
    assert read == ({**DEFAULT[name], **value} if isinstance(value, dict) else value)


DISK_TEXT = "datasets={mine: {source: disk, path: here, %s}}"


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("mlp={epochs: 3}", "mlp.epochs", 3),
        ("mlp={hidden: [8, 16]}", "mlp.hidden", [8, 16]),
        ("mlp={learning_rate: 1e-3}", "mlp.learning_rate", 0.001),
        ("sparse={flip: true, images: {image: null}}", "sparse.flip", True),
        ("sparse={flip: true, images: {image: null}}", "sparse.images.image", None),
        ("importance={representation: null}", "importance.representation", None),
        ("features_dir=null", "features_dir", None),
        ("features_dir=~", "features_dir", None),
        (DISK_TEXT % "group: null", "datasets.mine.group", None),
        (DISK_TEXT % "group: \"'null'\"", "datasets.mine.group", "null"),
        (DISK_TEXT % "group: category_name", "datasets.mine.group", "category_name"),
        # Where only text is taken, text it is.
        (DISK_TEXT % "label: 007", "datasets.mine.label", "007"),
        (DISK_TEXT % "label: null", "datasets.mine.label", "null"),
        (DISK_TEXT % "group: 007", "datasets.mine.group", "007"),
        (DISK_TEXT % "group: 2020-01-01", "datasets.mine.group", "2020-01-01"),
        (DISK_TEXT % "max_rejected: 0.5", "datasets.mine.max_rejected", 0.5),
        ("datasets={mine: {source: hub, path: a/b, revision: null}}", "datasets.mine.revision", None),
        ("datasets={zoo: {images: [5, 10]}}", "datasets.zoo.images", [5, 10]),
        ("datasets={zoo: {adapters: 40}}", "datasets.zoo.adapters", 40),
        ('layer_patterns={mine: "*"}', "layer_patterns.mine", "*"),
    ],
)
def test_what_the_command_line_says_inside_a_map_means_what_it_says(override, path, value):
    found = load_config(read_config([], [override]))
    given = parse_config([override])
    assert found == load_config(updated(DEFAULT, given), given)
    for name in path.split("."):
        found = found[name]
    assert (found, type(found)) == (value, type(value))


def updated(config, given):
    """Return what snakemake has once the command line is laid over the files."""
    merged = copy.deepcopy(config)
    update_config(merged, copy.deepcopy(given))
    return merged


def test_text_of_a_file_is_left_alone(refused, tmp_path):
    (tmp_path / "mine.yaml").write_text("{mlp: {epochs: '3'}, features_dir: 'null'}")
    with refused("mlp.epochs: '3' is text, not a whole number; .* in a config file"):
        load_config(read_config([str(tmp_path / "mine.yaml")], ["seeds=2", "mlp={batch: 8}"]))


def test_nonsense_inside_a_map_of_the_command_line_is_refused(refused):
    with refused("mlp.epochs: 'many' is text, not a whole number"):
        load_config(read_config([], ["mlp={epochs: many}"]))


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (0, -0.0), (3, 3.0)])
def test_equal_numbers_are_one_setting(one, other):
    both = [load_config(config(mlp={"weight_decay": number})) for number in (one, other)]
    assert canonical_json(both[0]) == canonical_json(both[1])


@pytest.mark.parametrize("override", ["seeds", "=3", "1=2", "mlp={a"])
def test_overrides_that_cannot_be_read_are_refused(refused, override):
    with refused("config: "):
        load_config(read_config([], [override]))


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"seeds: [1", "mine.yaml: not YAML: "),
        (b"\xff\xfe\x00", "mine.yaml: not YAML: "),
        (b"- 1\n- 2", "mine.yaml: holds no settings"),
        (b"", "mine.yaml: holds no settings"),
    ],
)
def test_files_that_hold_no_settings_are_refused(refused, tmp_path, content, pattern):
    (tmp_path / "mine.yaml").write_bytes(content)
    with refused(pattern):
        read_config([str(tmp_path / "mine.yaml")], [])


def test_files_that_are_not_there_are_refused(refused, tmp_path):
    with refused("absent.yaml: no such file"):
        read_config([str(tmp_path / "absent.yaml")], [])
    with refused(": cannot be read"):
        read_config([str(tmp_path)], [])


def test_the_zoos_knobs_are_those_of_its_recipe():
    knobs = schema()["$defs"]["zoo"]["properties"]
    settings = Recipe.from_settings({}).settings()
    assert {name: knobs[name]["default"] for name in settings} == settings
    assert set(knobs) - set(settings) == {"source", "label"}


@pytest.mark.parametrize("name", ["stats", "report", "train", "delta_gram"])
def test_a_data_set_may_not_be_named_like_a_target(name, refused):
    with refused(f"datasets: '{name}' is the name of a target"):
        load_config(config(datasets={name: {"source": "sanity"}}))


def test_every_rule_is_reserved():
    text = "".join(path.read_text() for path in (DEFAULT_STUDY.parent / "workflow/rules").glob("*.smk"))
    assert set(re.findall(r"^rule (\w+):", text, re.MULTILINE)) <= TARGETS


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "ä", "-n", "{x}", "a b", "x" * 101])
def test_a_study_needs_a_name_that_is_safe_as_a_folder(refused, name):
    with refused("study"):
        load_config(config(study=name))


def test_a_data_set_must_not_lie_where_named_studies_do(refused):
    with refused("'studies' is a folder of results"):
        load_config({"dataset": "studies", "datasets": {"studies": {"source": "sanity"}}})
