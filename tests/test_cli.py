"""The command: one line and exit code 2 for bad input, and no more imports than a step needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import published
from lorascope import __version__
from lorascope.cli import THREAD_VARIABLES, main
from lorascope.cli.bars import bar
from lorascope.computing import COMPUTING, recorded_versions
from lorascope.features.registry import feature_count
from lorascope.files import read_json, read_metadata, read_table

COMMANDS = ("progress", "prepare", "label", "extract", "train", "aggregate", "report")
SPLIT = {"seed": 42, "train": 0.7, "validation": 0.1, "test": 0.2}
LABELS = {"label": "category_label", "group": None, "split": SPLIT}
COMMAND = str(Path(sys.executable).with_name("lorascope"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in THREAD_VARIABLES:
        # What `--threads` sets is taken back after the test.
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    return tmp_path


@pytest.fixture
def refuses(capsys):
    """Return a function that runs the command and expects exit code 2 and one line on stderr alone."""

    def expect(text, *arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        output = capsys.readouterr()
        assert code == 2
        assert output.out == ""
        assert output.err.endswith("\n")
        assert output.err.count("\n") == 1
        assert output.err.startswith("lorascope")
        assert ": error: " in output.err
        assert text in output.err

    return expect


def save(folder, weights=None, **columns):
    """Write a data set of one layer and return its settings as JSON."""
    if weights is None:
        weights = dict(list(published.make_weights(40, published.NARROW).items())[:2])
    metadata = {**published.make_metadata(len(next(iter(weights.values())))), **columns}
    published.make_dataset(weights, metadata).save_to_disk(folder)
    return json.dumps({"source": "disk", "path": str(folder)})


def prepare(settings, out="data"):
    return ["prepare", "--dataset", "mine", "--settings", settings, "--key", "0123456789", "--out", out]


def label(settings=LABELS, data="data"):
    return [
        "label",
        "--data",
        data,
        "--settings",
        json.dumps(settings),
        "--key",
        "abcdef0123",
        "--out",
        "labels",
    ]


def extract(representation, group="attn1", out="features.parquet"):
    chosen = ["--group", group, "--representation", representation]
    return ["extract", "--data", "data", *chosen, "--key", "0011223344", "--out", out]


def train(settings="{}", layers="[]", seeds=(1, 1)):
    names = ["--dataset", "mine", "--layer-set", "all", "--representation", "stats", "--probe", "mlp"]
    files = ["--features", "features.parquet", "--adapters", "labels/adapters.parquet", "--out", "cell"]
    return [
        "train",
        *names,
        *files,
        "--settings",
        settings,
        "--layers",
        layers,
        "--first-seed",
        seeds[0],
        "--last-seed",
        seeds[1],
    ]


def test_from_a_data_set_to_a_trained_cell(folder, capsys):
    (layer, *_) = published.layers()
    assert main(prepare(save(folder / "set"))) == 0
    assert main(label()) == 0
    assert main(extract("stats")) == 0
    assert (
        main([str(word) for word in train('{"hidden": [4], "epochs": 2}', json.dumps([layer]), (7, 8))]) == 0
    )
    output = capsys.readouterr()
    assert output.out == ""
    assert "mine: 40 adapters, 2 matrices, 6 parameters" in output.err
    assert "10 classes, split {'train': 20" in output.err
    assert "seed 8: test accuracy" in output.err
    table = read_table("features.parquet")
    assert table.shape == (40, 2 * feature_count("stats"))
    assert read_table("cell/seeds-7-8.runs.parquet")["seed"].to_pylist() == [7, 8]
    assert (
        read_table("cell/seeds-7-8.runs.parquet")["features"].to_pylist() == [2 * feature_count("stats")] * 2
    )
    assert read_json("data/source.json")["key"] == "0123456789"
    assert read_json("labels/manifest.json")["labels"]["key"] == "abcdef0123"
    origin = read_metadata("features.parquet")
    assert origin["key"] == "0011223344"
    assert origin["settings"] == {"representation": "stats", "group": "attn1"}
    assert {"lorascope", "numpy", "pyarrow", "torch", "python"} <= set(origin["versions"])
    for file in ("cell/seeds-7-8.runs.parquet", "cell/seeds/seed-8.details.parquet"):
        assert list(recorded_versions(read_metadata(file))) == list(COMPUTING), "its device too"


def test_duplicates_are_reported(folder, capsys):
    weights = dict(list(published.make_weights(40, published.NARROW).items())[:2])
    for values in weights.values():
        values[11] = values[5]
    assert main(prepare(save(folder / "set", weights))) == 0
    assert main(label()) == 0
    assert "1 set of equal adapters, each kept in one part" in capsys.readouterr().err


# bad input: the data


def test_a_weight_that_is_not_a_number(folder, refuses, capsys):
    weights = dict(list(published.make_weights(40, published.NARROW).items())[:2])
    column = list(weights)[1]
    weights[column][17, 0, 0] = np.nan
    weights[column][21] = np.inf
    # Of 40, two are 5 %.
    assert main(prepare(save(folder / "set", weights))) == 0
    assert "2 of 40 rows rejected: data/rejected.csv" in capsys.readouterr().err
    assert f"column '{column}' has a NaN" in Path("data", "rejected.csv").read_text()
    assert main(label()) == 0
    assert main(["passport", "--data", "data", "--labels", "labels", "--out", "passport"]) == 0
    assert "2 rejected, listed in data/rejected.csv" in capsys.readouterr().err
    weights[column][22] = np.inf
    refuses(
        f"prepare: error: mine: 3 of 40 rows rejected, more than max_rejected (0.05) allows; the first: 17: "
        f"column '{column}' has a NaN; all: other/rejected.csv",
        *prepare(save(folder / "worse", weights), out="other"),
    )
    assert not Path("other", "source.json").exists()


def test_an_empty_data_set(folder, refuses):
    weights = {name: values[:0] for name, values in published.make_weights(1, published.NARROW).items()}
    refuses("the data set is empty", *prepare(save(folder / "set", weights)))


def test_a_data_set_that_is_not_there(refuses):
    refuses("absent: no such folder", *prepare('{"source": "disk", "path": "absent"}'))


def test_columns_that_are_neither_attn1_nor_attn2(folder, refuses):
    weights = {"text_encoder.lora.down.weight": np.zeros((3, 1, 2), np.float32)}
    refuses("neither attn1 nor attn2: text_encoder.lora.down.weight", *prepare(save(folder / "set", weights)))


@pytest.mark.parametrize(
    ("columns", "changes", "text"),
    [
        (
            {},
            {"label": "leaf"},
            "label: error: mine: no label column 'leaf'; there are: adapter, category_label,",
        ),
        ({}, {"group": "leaf"}, "no group column 'leaf'"),
        ({"category_label": pa.array(["cat"] * 40)}, {}, "only one class ('cat')"),
        ({"category_label": pa.array(["cat"] * 39 + ["dog"])}, {}, "too few adapters of 'dog' (1)"),
        (
            {"category_label": pa.array(["cat"] * 39 + [None])},
            {},
            "'category_label' is empty in 1 row, first in row 39",
        ),
        ({}, {"group": "rank"}, "split: the validation part has no adapter of"),
        ({}, {"split": {"train": 0.9}}, "split: shares add up to 1.2, not 1"),
        ({}, {"split": {"tran": 0.9}}, "split: unknown key 'tran'; did you mean 'train'?"),
        ({}, {"split": {"train": "0.7"}}, "split: train: '0.7' is text, not a number"),
    ],
)
def test_labels_and_splits_that_cannot_be(folder, refuses, capsys, columns, changes, text):
    assert main(prepare(save(folder / "set", **columns))) == 0
    capsys.readouterr()
    refuses(text, *label({**LABELS, **changes}))
    assert not Path("labels").exists()


def test_steps_out_of_order(refuses):
    refuses("data/source.parquet: no such file", *label())
    refuses("data/layers.parquet: no such file", *extract("stats"))
    refuses("labels/adapters.parquet: no such file", *train())


def test_representations_and_groups_that_do_not_exist(folder, refuses, capsys):
    assert main(prepare(save(folder / "set"))) == 0
    capsys.readouterr()
    refuses("representation 'spectrum' is not known; choose from: canonical", *extract("spectrum"))
    refuses("'ensemble' has no features of its own; extract spectral", *extract("ensemble"))
    refuses("layers.parquet: no layer group 'attn2'", *extract("stats", "attn2"))
    assert not Path("features.parquet").exists()


# bad input: the arguments


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("arguments are required: COMMAND; see lorascope --help", []),
        ("invalid choice: 'prepair'", ["prepair"]),
        ("prepare: error: the following arguments are required: --dataset", ["prepare"]),
        ("unrecognized arguments: --fast", [*prepare("{}"), "--fast"]),
        ("not JSON: Expecting property name", prepare("{source: disk}")),
        ("not a map in JSON: [1, 2]", prepare("[1, 2]")),
        ("not a list in JSON: {}", train(layers="{}")),
        ("mine: 'source' is a required property", prepare("{}")),
        ("mine: source: 'web' is not one of zoo, hub, disk, folder, sanity", prepare('{"source": "web"}')),
        ("mine: 'path' is a required property", prepare('{"source": "disk"}')),
        (
            "mine: unknown key 'pth'; did you mean 'path'?",
            prepare('{"source": "disk", "path": "x", "pth": "x"}'),
        ),
        ("zoo: no shards", prepare('{"source": "zoo"}')),
        ("grouping: 'blocks' is not known", [*prepare('{"source": "sanity"}'), "--grouping", "blocks"]),
        ("--settings: no 'label'; give label, group and split", label({})),
        ("mlp: unknown key 'epoch'; did you mean 'epochs'?", train('{"epoch": 1}')),
        ("--last-seed 3 is before --first-seed 5", train(seeds=(5, 3))),
        ("argument --first-seed: invalid int value: 'x'", train(seeds=("x", 3))),
        ("config: unknown key 'sedes'; did you mean 'seeds'?", ["progress", "--config", "sedes=3"]),
        ("did you mean 'spectral'?", ["progress", "--config", "representations=[spectrl]"]),
        ("config: dataset: unknown name 'mine'", ["progress", "--config", "dataset=mine"]),
        ("--config: write KEY=VALUE", ["progress", "--config", "seeds"]),
        ("absent.yaml: no such file", ["progress", "--configfile", "absent.yaml"]),
        (
            "config: dataset: unknown name 'zoo'",
            ["aggregate", "--config", "{}", "--dataset", "zoo", "--out", "x"],
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_arguments_that_cannot_be(refuses, text, arguments):
    refuses(text, *arguments)


def test_an_unknown_data_set_of_a_study(refuses):
    study = json.dumps({"dataset": "five", "datasets": {"five": {"source": "sanity"}}})
    arguments = ["aggregate", "--config", study, "--dataset", "six", "--key", "0", "--out", "x"]
    refuses("no data set 'six' in the config; there are: five", *arguments)


def test_a_study_that_changed_while_it_ran(refuses):
    study = json.dumps({"dataset": "five", "datasets": {"five": {"source": "sanity"}}})
    arguments = ["aggregate", "--config", study, "--dataset", "five", "--key", "0", "--out", "x"]
    refuses("five: data or code changed while the study ran", *arguments)


# the command as users meet it


def environment():
    """Return an environment in which neither threads nor buffers are set."""
    unwanted = (*THREAD_VARIABLES, "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def run(*arguments, stdout=subprocess.PIPE):
    return subprocess.run(
        arguments, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, env=environment()
    )


def test_bad_input_of_the_installed_command():
    done = run(COMMAND, "progress", "--config", "sedes=3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lorascope progress: error: config: unknown key 'sedes'; did you mean 'seeds'?\n"


def test_version_and_help(capsys):
    for arguments, shown in (
        (["--version"], [f"lorascope {__version__}"]),
        (["--help"], COMMANDS),
        *(([command, "--help"], [f"usage: lorascope {command}"]) for command in COMMANDS),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
        output = capsys.readouterr().out
        assert all(text in output for text in shown)


def test_progress_as_a_grid_and_as_json(tmp_path, capsys):
    settings = ["dataset=sanity", "representations=[stats, spectral]", f"results={tmp_path}"]
    arguments = ["progress", "--config", *settings]
    assert main(arguments) == 0
    assert "0 of 8 cells are done." in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [state["state"] for state in found["cells"]] == ["missing"] * 8
    assert [(step["step"], step["done"]) for step in found["steps"]] == [
        ("prepare", 0),
        ("label", 0),
        ("passport", 0),
        ("extract", 0),
        ("fit", 0),
        ("rank_layers", 0),
        ("adapter_map", 0),
        ("control", 0),
        ("train", 0),
        ("aggregate", 0),
        ("keep_probes", 0),
        ("page", 0),
    ]
    assert found["run"] == {"began": None, "cores": None, "left_seconds": None}
    assert found["unusable"] == {}


def test_progress_tells_of_a_data_set_that_cannot_be_used_and_of_the_others(tmp_path, capsys):
    (tmp_path / "broken.yaml").write_text(
        "dataset: [sanity, broken]\ndatasets: {broken: {source: disk, path: /absent}}\n"
    )
    settings = ["--configfile", f"{tmp_path}/broken.yaml", "--config", "probes=[mlp]", f"results={tmp_path}"]
    assert main(["progress", *settings]) == 0
    out = capsys.readouterr().out
    assert "Cannot be used: /absent: no such folder" in out
    assert "sanity, mlp" in out
    assert main(["progress", "--json", *settings]) == 0
    assert json.loads(capsys.readouterr().out)["unusable"] == {"broken": "/absent: no such folder"}


@pytest.mark.parametrize("command", [["progress"], ["show"], ["show", "default"], ["show", "--json"]])
def test_a_folder_without_a_study_is_refused_in_one_line(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"error: no study here: {'nothing lies in ' if 'show' in command else ''}{tmp_path}/results" in err


BARS = """
import os, pty, sys
os.environ["TERM"] = "xterm"
from lorascope.cli.bars import bar

primary, secondary = pty.openpty()
os.dup2(secondary, 2)
sys.stderr = open(2, "w", closefd=False)
with bar("extract stats", 4) as advance:
    advance(4)
shown = b""
while b"100%" not in shown:
    shown += os.read(primary, 1 << 16)
os.write(1, shown)
"""


def test_a_bar_is_drawn_in_a_terminal_and_nowhere_else(capsys):
    with bar("extract stats", 4) as advance:
        advance(4)
    assert capsys.readouterr() == ("", "")
    shown = run(sys.executable, "-c", BARS).stdout
    assert "extract stats" in shown
    assert "100%" in shown


@pytest.mark.parametrize("cells", [1, 18], ids=["less than a buffer", "more than a buffer"])
def test_a_reader_that_leaves_early_is_no_error(cells, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ["progress", "--json", "--config", "dataset=sanity", f"results={tmp_path}"]
    if cells == 1:
        arguments += ["representations=[stats]", "layer_sets=[all]"]
    done = run(COMMAND, *arguments, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "torch") and name not in seen:
            seen[name] = {variable: os.environ.get(variable) for variable in VARIABLES}

from lorascope.cli import THREAD_VARIABLES as VARIABLES, main

seen = {}
sys.meta_path.insert(0, Watch())
"""


def watch(script):
    done = run(sys.executable, "-c", WATCH + script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_itself_loads_no_library():
    loaded = watch("print([name for name in ('numpy', 'pyarrow', 'pandas', 'torch') if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_threads_are_limited_before_the_libraries_are_loaded():
    arguments = [*prepare('{"source": "sanity"}'), "--threads", "3"]
    assert watch(f"main({arguments})\nprint(set(seen['numpy'].values()))").strip() == "{'3'}"


def test_only_training_and_the_zoo_load_torch(folder):
    steps = [
        prepare(save(folder / "set"), "other"),
        prepare('{"source": "sanity"}'),
        label({**LABELS, "label": "label"}),
        extract("spectral"),
        ["progress", "--config", "dataset=zoo", f"results={folder}"],
    ]
    loop = f"for step in {steps}:\n    print('step', step[0], main(step), 'torch' in sys.modules)"
    shown = [line for line in watch(loop).splitlines() if line.startswith("step")]
    assert shown == [f"step {step[0]} 0 False" for step in steps]
