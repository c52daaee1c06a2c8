"""Saved probes: the file alone gives the probabilities that training gave, and a wrong file is refused."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lorascope.files import read_table, write_table
from lorascope.probes.registry import PROBES, reads_factors, run_probe
from lorascope.probes.saved import ProbeCard, SavedProbe, lengthened, load_probe, save_probe, shortened
from lorascope.probes.scaling import Scaling
from lorascope.probes.train import load_cell
from lorascope.study.config import load_section
from lorascope.study.keep import saved_probe

LAYERS = [f"down_blocks.0.attentions.{i}.transformer_blocks.0.attn1.to_q" for i in range(3)]
# Enough of each for several candidates, few enough for a test.
SETTINGS = {"mlp": {"hidden": [16, 8], "epochs": 3}, "trees": {"iterations": 12, "candidate_every": 4}}


def write_study(folder, classes):
    """Write features of 90 adapters, of which one is constant, and their labels and split."""
    rng = np.random.default_rng(classes)
    own = np.arange(90) % classes
    centres = rng.normal(size=(classes, 12))
    values = (3 + 5 * (centres[own] + 0.7 * rng.normal(size=(90, 12)))).astype(np.float32)
    values[:, 5] = 7
    names = [f"{layer}.{side}/f{i}" for layer in LAYERS for side in ("down", "up") for i in range(2)]
    columns = {name: pa.array(column) for name, column in zip(names, values.T, strict=True)}
    split = rng.permutation(np.repeat(["train", "validation", "test"], [60, 10, 20]))
    labels = np.array(["ant", "bee", "cow", "dog"])[own]
    write_table(folder / "features.parquet", pa.table(columns), {"representation": "stats"})
    write_table(folder / "adapters.parquet", pa.table({"label": labels, "split": split}))
    return values, split


def probe_file(folder, seed):
    return folder / f"seed-{seed}.probe.safetensors"


def train(folder, probe, seeds=(3, 4)):
    """Train and save a probe a seed; return the runs."""
    names = {"dataset": "toy", "layer_set": "all", "representation": "stats", "probe": probe}
    settings = load_section(probe, SETTINGS.get(probe, {}))
    given = load_cell(names, [folder / "features.parquet"], folder / "adapters.parquet", LAYERS)
    runs = list(run_probe(probe, given.parts, len(given.classes), settings, seeds))
    for run in runs:
        save_probe(probe_file(folder, run.seed), saved_probe(run, given, {"key": "k"}))
    return runs


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("probe", [name for name in PROBES if not reads_factors(name)])
def test_a_saved_probe_answers_as_the_trained_one(tmp_path, probe, classes):
    values, split = write_study(tmp_path, classes)
    for run in train(tmp_path, probe):
        saved = load_probe(probe_file(tmp_path, run.seed))
        for part in ("train", "test"):
            answers = np.exp(run.log_probabilities[part])
            np.testing.assert_allclose(saved.predict(values[split == part]), answers, atol=2e-6)


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False), min_size=1, max_size=50))
def test_large_arrays_lose_eight_bits_of_the_fraction_and_no_more(values):
    array = np.array([values, values], np.float32)
    short = shortened(array)
    assert (short.dtype, short.shape) == (np.uint8, (*array.shape, 3))
    back = lengthened(short)
    assert (back.dtype, back.shape) == (np.float32, array.shape)
    assert (np.abs(back.astype(float) - array) <= 2.0**-16 * np.abs(array)).all()
    assert np.array_equal(lengthened(shortened(back)), back)


def test_a_wide_probe_takes_three_bytes_a_weight_and_answers_as_before(tmp_path):
    rng = np.random.default_rng(0)
    state = {
        "weight.0": rng.normal(size=(400, 512)).astype(np.float32) / 20,
        "shift.0": rng.normal(size=(1, 512)).astype(np.float32),
        "weight.1": rng.normal(size=(512, 4)).astype(np.float32) / 20,
        "shift.1": np.zeros((1, 4), np.float32),
    }
    features = rng.normal(size=(50, 400)).astype(np.float32)
    card = ProbeCard({"probe": "mlp"}, 0, list("abcd"), list(map(str, range(400))), True, 1.0)
    probe = SavedProbe(card, Scaling.fit(features), state)
    save_probe(tmp_path / "probe", probe)
    loaded = load_probe(tmp_path / "probe")
    np.testing.assert_allclose(loaded.predict(features), probe.predict(features), atol=1e-5)
    small = sum(array.nbytes for name, array in state.items() if name != "weight.0")
    assert (tmp_path / "probe").stat().st_size < 3 * 400 * 512 + small + 16 * 400 + 10_000


def test_the_file_says_what_the_probe_is(tmp_path):
    write_study(tmp_path, 4)
    train(tmp_path, "ridge", [7])
    card = load_probe(probe_file(tmp_path, 7)).card
    assert card.names == {"dataset": "toy", "layer_set": "all", "representation": "stats", "probe": "ridge"}
    assert (card.seed, card.classes, card.is_scaled) == (7, ["ant", "bee", "cow", "dog"], True)
    assert card.columns == read_table(tmp_path / "features.parquet").column_names
    assert card.chosen["penalty"] in load_section("ridge", {})["penalties"]
    assert card.provenance == {"key": "k"}


def test_the_same_run_writes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_study(tmp_path / name, 3)
        train(tmp_path / name, "trees", [3])
    one, two = (probe_file(tmp_path / name, 3).read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("probe", ["knn", "trees"])
def test_a_wide_batch_and_one_adapter_at_a_time_agree(tmp_path, probe):
    values, _ = write_study(tmp_path, 3)
    train(tmp_path, probe, [3])
    saved = load_probe(probe_file(tmp_path, 3))
    single = np.concatenate([saved.predict(values[i : i + 1]) for i in range(len(values))])
    np.testing.assert_allclose(saved.predict(values), single, atol=1e-12)


def test_prediction_needs_neither_torch_nor_scikit_learn(tmp_path):
    write_study(tmp_path, 3)
    train(tmp_path, "trees", [3])
    path = probe_file(tmp_path, 3)
    script = (
        "import sys, numpy as np; from lorascope.probes.saved import load_probe;"
        f"load_probe({str(path)!r}).predict(np.zeros((2, 12), np.float32));"
        "assert not {'torch', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_other_columns_are_refused(tmp_path, refused):
    write_study(tmp_path, 2)
    train(tmp_path, "majority", [3])
    saved = load_probe(probe_file(tmp_path, 3))
    with refused(r"features of shape \(2, 11\) where the probe was trained on 12 columns"):
        saved.predict(np.zeros((2, 11), np.float32))


def test_files_that_are_no_probes_are_refused(tmp_path, refused):
    (tmp_path / "text").write_text("no probe at all")
    save_file({"a": np.zeros(3)}, tmp_path / "foreign")
    with refused("text: not a readable probe"):
        load_probe(tmp_path / "text")
    with refused("absent: no such file"):
        load_probe(tmp_path / "absent")
    with refused("foreign: not a saved probe"):
        load_probe(tmp_path / "foreign")
