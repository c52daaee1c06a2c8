"""The map of adapters against dense updates and against linear algebra done by hand."""

import numpy as np
import pyarrow as pa
import pytest

from layered import LayerWeights, dense
from lorascope.features import adapter_map
from lorascope.features.adapter_map import layer_mean_kernel, principal_places, write_map
from lorascope.features.layer_factors import LayerFactors
from lorascope.files import read_metadata, read_table, write_table

TRAIN = np.arange(30) % 3 > 0


def unit_updates(weights):
    """Return ΔW / ‖ΔW‖ of each layer, float64 [adapters, entries]."""
    for index in range(0, len(weights.values), 2):
        updates = dense(LayerFactors(*weights.values[index : index + 2])).reshape(weights.n_adapters, -1)
        norms = np.linalg.norm(updates, axis=1, keepdims=True)
        yield np.divide(updates, norms, out=np.zeros_like(updates), where=norms > 0)


def test_the_kernel_is_the_mean_cosine_of_dense_updates():
    weights = LayerWeights()
    rows = np.arange(2, 25)
    train = TRAIN[rows]
    expected = np.mean([unit[rows] @ unit[rows][train].T for unit in unit_updates(weights)], axis=0)
    np.testing.assert_allclose(layer_mean_kernel([weights], rows, train), expected, atol=1e-6)


def test_places_are_the_principal_components_of_the_training_part():
    weights = LayerWeights()
    every = np.concatenate(list(unit_updates(weights)), axis=1) / np.sqrt(2)
    places, variance = principal_places(every @ every[TRAIN].T, TRAIN)
    centred = every - every[TRAIN].mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred[TRAIN], full_matrices=False)
    np.testing.assert_allclose(np.abs(places), np.abs(centred @ axes[:2].T), atol=1e-8)
    np.testing.assert_allclose(variance, (lengths**2 / (lengths**2).sum())[:2])
    assert (places[TRAIN][np.abs(places[TRAIN]).argmax(axis=0), [0, 1]] > 0).all()


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Weights in memory in the place of a folder, and a label table."""
    weights = LayerWeights()
    monkeypatch.setattr(adapter_map.GroupWeights, "open", lambda folder, group: weights)
    split = np.where(TRAIN, "train", "test")
    names = [f"a{index}" for index in range(30)]
    write_table(tmp_path / "adapters.parquet", pa.table({"adapter": names, "label": names, "split": split}))
    return weights, tmp_path


def drawn(folder, most=100):
    write_map("data", ["attn1"], folder / "adapters.parquet", most, folder / "map.parquet", {"key": "1"})
    return read_table(folder / "map.parquet")


def test_other_adapters_move_no_training_adapter(study):
    weights, folder = study
    before = drawn(folder)
    for values, fresh in zip(weights.values, LayerWeights(seed=7).values, strict=True):
        values[~TRAIN] = fresh[~TRAIN]
    after = drawn(folder)
    assert before.filter(TRAIN).equals(after.filter(TRAIN))
    assert not before.equals(after)
    assert read_metadata(folder / "map.parquet")["key"] == "1"


def test_of_many_adapters_some_are_shown(study):
    _, folder = study
    table = drawn(folder, most=12)
    assert table.num_rows == 12
    assert table.column_names == ["adapter", "label", "split", "x", "y"]


def nothing(folder):
    """Return why a map is empty."""
    table = drawn(folder)
    assert (table.num_rows, table.column_names) == (0, ["adapter", "label", "split", "x", "y"])
    return read_metadata(folder / "map.parquet")["reason"]


@pytest.mark.parametrize("sizes", [np.ones(30), np.linspace(1, 7, 30), np.zeros(30)], ids=str)
def test_adapters_that_differ_in_size_alone_make_no_map(study, sizes):
    weights, folder = study
    for values in weights.values:
        values[:] = sizes[:, None, None] * values[:1]
    assert "point the same way" in nothing(folder)


def test_two_training_adapters_make_no_map(study):
    _, folder = study
    split = ["train"] * 2 + ["test"] * 28
    table = read_table(folder / "adapters.parquet").drop_columns("split")
    write_table(folder / "adapters.parquet", table.append_column("split", pa.array(split)))
    assert nothing(folder) == "2 training adapters; a map needs 3"
