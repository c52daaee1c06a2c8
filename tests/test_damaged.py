"""A damaged intermediate is named by the step that reads it, put aside, and made again by the next run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lorascope.cli import main
from lorascope.files import read_table
from lorascope.leftovers import set_aside_marked

SETTINGS = {"source": "sanity"}
MLP = {"hidden": [4], "epochs": 1}


def step(*words) -> int:
    """Run a step as the workflow does, with a key."""
    return main([*map(str, words), "--key", "0123456789"])


STEPS = {
    "prepare": ("prepare", "--dataset", "five", "--settings", json.dumps(SETTINGS), "--out", "data"),
    "label": (
        *("label", "--data", "data", "--out", "labels"),
        *("--settings", json.dumps({"label": "label", "group": None, "split": {"seed": 1}})),
    ),
    "fit": (
        *("fit", "--data", "data", "--adapters", "labels/adapters.parquet", "--group", "attn1"),
        *("--representation", "delta_gram", "--out", "fit.safetensors"),
    ),
    "extract": (
        *("extract", "--data", "data", "--group", "attn1", "--representation", "stats"),
        *("--out", "features.parquet"),
    ),
    "extract fitted": (
        *("extract", "--data", "data", "--group", "attn1", "--representation", "delta_gram"),
        *("--fit", "fit.safetensors", "--out", "fitted.parquet"),
    ),
    "train": (
        *("train", "--dataset", "five", "--layer-set", "all", "--representation", "stats", "--probe", "mlp"),
        *("--features", "features.parquet", "--adapters", "labels/adapters.parquet", "--out", "cell"),
        *("--settings", json.dumps(MLP), "--layers", "LAYERS", "--first-seed", 1, "--last-seed", 1),
    ),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in which every step has run once."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, words in STEPS.items():
            if name == "train":
                layers = read_table("data/layers.parquet")
                names = layers.filter(layers["group"].to_numpy() == "attn1")["layer"].unique().to_pylist()
                STEPS["train"] = words = tuple(
                    json.dumps(names) if word == "LAYERS" else word for word in words
                )
            assert step(*words) == 0, name
    return folder


def flip(path: Path) -> None:
    """Change one bit in the middle of the values."""
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


def flip_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("damaged", "how", "reader", "writer", "unit"),
    [
        ("data/weights/attn1.npy", truncate, "extract", "prepare", "data/weights"),
        ("data/weights/attn1.npy", flip_in_the_middle, "extract", "prepare", "data/weights"),
        ("data/weights/attn1.npy", flip_in_the_middle, "extract fitted", "prepare", "data/weights"),
        ("data/weights/attn1.npy", flip_in_the_middle, "fit", "prepare", "data/weights"),
        ("data/layers.parquet", truncate, "extract", "prepare", None),
        ("data/source.parquet", flip, "label", "prepare", None),
        ("data/source.json", flip_in_the_middle, "label", "prepare", None),
        ("data/source.json", truncate, "label", "prepare", None),
        ("labels/adapters.parquet", truncate, "train", "label", None),
        ("fit.safetensors", truncate, "extract fitted", "fit", None),
        ("fit.safetensors", flip_in_the_middle, "extract fitted", "fit", None),
        ("features.parquet", flip, "train", "extract", None),
        ("features.parquet", truncate, "train", "extract", None),
    ],
)
def test_it_is_named_put_aside_and_made_again(
    finished, tmp_path, monkeypatch, capsys, damaged, how, reader, writer, unit
):
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    shutil.rmtree("cell")
    whole, unit = Path(damaged).read_bytes(), Path(unit or damaged)
    how(Path(damaged))
    capsys.readouterr()
    assert step(*STEPS[reader]) == 2
    told = capsys.readouterr().err.strip()
    assert "\n" not in told
    assert damaged in told
    assert "(marked as damaged: just run again)" in told
    assert unit.exists()
    assert set_aside_marked(".") == [unit.with_name(f"{unit.name}.damaged")]
    assert not unit.exists()
    assert step(*STEPS[writer]) == 0
    assert Path(damaged).read_bytes() == whole
    assert step(*STEPS[reader]) == 0


def test_outside_the_workflow_nothing_is_moved(finished, tmp_path, monkeypatch, capsys):
    path = tmp_path / "features.parquet"
    path.write_bytes((finished / "features.parquet").read_bytes()[:-20])
    monkeypatch.chdir(finished)
    elsewhere = {"features.parquet": path, "cell": tmp_path / "cell"}
    words = [str(elsewhere.get(word, word)) for word in STEPS["train"]]
    assert main(words) == 2
    assert "delete it and run again" in capsys.readouterr().err
    assert path.exists()


OUT_OF_MEMORY = """
import resource, sys
from lorascope.cli import main

resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) * 2**20,) * 2)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("megabytes", [100, 200, 250, 400])
def test_a_step_without_memory_says_so_in_one_line_and_blames_no_file(finished, tmp_path, megabytes):
    shutil.copytree(finished, tmp_path / "study")
    words = [*map(str, STEPS["train"]), "--key", "0123456789", "--out", "elsewhere"]
    command = [sys.executable, "-c", OUT_OF_MEMORY, str(megabytes), *words]
    done = subprocess.run(command, cwd=tmp_path / "study", capture_output=True, text=True, check=False)
    assert done.returncode != 0
    # A thread of a library's that finds no memory ends the process (SIGABRT) before anybody is asked.
    if done.returncode > 0:
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "memory" in done.stderr.lower()
    assert not list(tmp_path.rglob("*.is-damaged"))


MAPPED = """
import os, resource
import numpy as np
from lorascope.adapters.names import parse_matrix_name, MatrixInfo
from lorascope.data.weights import GroupWeights

rows = 10**8
with open("big.npy", "wb") as file:
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows,)})
    file.truncate(file.tell() + 4 * rows)
used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + 10**8,) * 2)
GroupWeights("big.npy", [MatrixInfo("down", "layer", "down", 1, 1)], rows)
"""


def test_weights_that_find_no_room_in_memory_are_not_damaged(tmp_path):
    command = [sys.executable, "-c", MAPPED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "OSError: [Errno 12] Cannot allocate memory"
