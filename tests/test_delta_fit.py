"""Fitting to the training part and extraction of layer representations, file by file."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from layered import LayerWeights, feature_dict, fitted_to
from lorascope.features import layer_weights, layers
from lorascope.features.fit import fit, load_fit
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.layers import extract_layers
from lorascope.features.read import matrix_of, read_features
from lorascope.features.registry import load_layer, of_layers
from lorascope.features.representations import delta_kernel, pca
from lorascope.files import read_metadata

FITTED = tuple(name for name in of_layers() if load_layer(name).FITTED)
TRAIN = np.arange(30) % 3 > 0


def fit_and_extract(weights, name, folder, rows=TRAIN):
    """Return the paths of the fit (None where nothing is fitted) and of the features."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors" if name in FITTED else None
    if path:
        fit(weights, name, rows, path, {"key": "1"})
    extract_layers(weights, name, folder / f"{name}.parquet", path, {"key": "2"})
    return path, folder / f"{name}.parquet"


@pytest.mark.parametrize("name", of_layers())
def test_columns_are_the_features_of_each_layer_in_order(tmp_path, name):
    weights = LayerWeights()
    _, path = fit_and_extract(weights, name, tmp_path)
    features, columns = read_features([path])
    expected = {}
    for index, layer in enumerate(("block.0.attn1.to_q", "block.1.attn1.to_q")):
        factors = LayerFactors(*weights.values[2 * index : 2 * index + 2])
        part = LayerFactors(factors.down[TRAIN], factors.up[TRAIN])
        found = feature_dict(name, factors, fitted_to(name, part))
        expected |= {f"{layer}.delta/{feature}": values for feature, values in found.items()}
    assert columns == list(expected)
    np.testing.assert_allclose(features.T, list(expected.values()), atol=1e-5)
    assert {matrix_of(column) for column in columns} == {
        f"block.{index}.attn1.to_q.delta" for index in (0, 1)
    }
    assert read_metadata(path) == {"key": "2", "representation": name}


@pytest.mark.parametrize("name", FITTED)
def test_fits_depend_on_the_training_part_alone(tmp_path, name):
    weights, other = LayerWeights(), LayerWeights()
    path, features = fit_and_extract(weights, name, tmp_path / "one")
    for values, fresh in zip(other.values, LayerWeights(seed=7).values, strict=True):
        values[~TRAIN] = fresh[~TRAIN]
    same, moved = fit_and_extract(other, name, tmp_path / "two")
    assert same.read_bytes() == path.read_bytes()
    before, after = (read_features([x])[0] for x in (features, moved))
    assert before[TRAIN].tobytes() == after[TRAIN].tobytes()
    assert not np.array_equal(before[~TRAIN], after[~TRAIN])
    other.values[0][1] += 1
    changed, _ = fit_and_extract(other, name, tmp_path / "three")
    assert changed.read_bytes() != path.read_bytes()


@pytest.mark.parametrize("name", FITTED)
def test_even_a_broken_adapter_of_the_test_part_does_not_disturb_a_fit(tmp_path, name):
    weights = LayerWeights()
    fit(weights, name, TRAIN, tmp_path / "whole")
    weights.values[1][0] = np.nan
    fit(weights, name, TRAIN, tmp_path / "broken")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "broken").read_bytes()


@pytest.mark.parametrize("name", FITTED)
def test_rows_may_be_a_mask_or_indices(tmp_path, name):
    for path, rows in {"mask": TRAIN, "indices": np.flatnonzero(TRAIN)}.items():
        fit(LayerWeights(), name, rows, tmp_path / path)
    assert (tmp_path / "mask").read_bytes() == (tmp_path / "indices").read_bytes()


@pytest.mark.parametrize("name", ["delta_kernel", "pca"])
def test_a_sample_is_of_the_training_part_and_the_same_for_every_layer(tmp_path, monkeypatch, name):
    monkeypatch.setattr({"delta_kernel": delta_kernel, "pca": pca}[name], "FIT_ROWS", 8)
    weights = LayerWeights()
    fit(weights, name, TRAIN, tmp_path / "fit")
    if name == "pca":
        means = [array["mean"] for array in load_fit(tmp_path / "fit", name).values()]
        entries = [
            np.hstack([weights.values[2 * i + side].reshape(30, -1) for side in (0, 1)]) for i in (0, 1)
        ]
        assert [len(mean) for mean in means] == [entry.shape[1] for entry in entries]
        return
    rows = []
    for index, arrays in enumerate(load_fit(tmp_path / "fit", name).values()):
        assert arrays["left"].shape[0] == 8
        factors = LayerFactors(*weights.values[2 * index : 2 * index + 2])
        updates = (factors.unit_left @ factors.V.swapaxes(1, 2)).reshape(30, -1)
        landmarks = (arrays["left"] @ arrays["right"].swapaxes(1, 2)).reshape(8, -1)
        rows.append([int(np.abs(updates - landmark).max(axis=1).argmin()) for landmark in landmarks])
    assert rows[0] == rows[1]
    assert len(set(rows[0])) == 8
    assert TRAIN[rows[0]].all()


def test_blocks_and_row_groups_change_no_more_than_rounding(tmp_path, monkeypatch):
    weights = LayerWeights()
    whole = {name: fit_and_extract(weights, name, tmp_path / "whole") for name in of_layers()}
    monkeypatch.setattr(layer_weights, "BLOCK_ENTRIES", 400)
    monkeypatch.setattr(layers, "CHUNK_ENTRIES", 2000)
    for name in of_layers():
        _, path = fit_and_extract(weights, name, tmp_path / "pieces")
        expected, found = read_features([whole[name][1]]), read_features([path])
        assert found[1] == expected[1]
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        if len(found[1]) > 100:
            assert pq.ParquetFile(path).num_row_groups > 1


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from layered import LayerWeights
from lorascope.features.registry import of_layers
from test_delta_fit import fit_and_extract
import numpy as np
weights = LayerWeights(200, [(320, 320, 1), (100, 64, 4)])
for name in of_layers():
    fit_and_extract(weights, name, Path(sys.argv[2]), np.arange(200) % 3 > 0)
assert not {"torch", "scipy", "pandas", "matplotlib", "datasets"} & set(sys.modules)
"""


def digests_with_threads(threads, folder, tests):
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    subprocess.run([sys.executable, "-c", PROGRAM, str(tests), str(folder)], env=environment, check=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_two_threads_give_the_bytes_of_one_and_nothing_heavy_is_imported(tmp_path, request):
    one = digests_with_threads("1", tmp_path / "one", request.path.parent)
    assert len(one) == len(of_layers()) + len(FITTED)
    assert digests_with_threads("2", tmp_path / "two", request.path.parent) == one


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_weights_are_refused_by_matrix_and_row(tmp_path, refused, value):
    weights = LayerWeights()
    weights.values[3][13, 2, 0] = value
    with refused(r"'block\.1\.attn1\.to_q\.up': adapter row 13 "):
        extract_layers(weights, "delta_spectrum", tmp_path / "features")
    with refused(r"'block\.1\.attn1\.to_q\.up': adapter row 13 "):
        fit(weights, "pca", TRAIN, tmp_path / "fit")
    assert list(tmp_path.iterdir()) == []


def test_fits_that_do_not_belong_are_refused(tmp_path, refused):
    weights, path, out = LayerWeights(), tmp_path / "fit", tmp_path / "features"
    fit(weights, "delta_gram", TRAIN, path, {"key": "1"})
    with refused("'delta_gram' is fitted to the training part; run `lorascope fit`"):
        extract_layers(weights, "delta_gram", out)
    with refused("a fit of 'delta_gram', not of 'delta_bilinear'"):
        extract_layers(weights, "delta_bilinear", out, path)
    with refused("'flat' fits nothing; leave out"):
        extract_layers(weights, "flat", out, path)
    with refused("'flat' fits nothing; extract it without a fit"):
        fit(weights, "flat", TRAIN, out)
    with refused("no training adapter"):
        fit(weights, "delta_gram", np.zeros(30, bool), out)
    with refused(r"no fit of layer block\.2"):
        extract_layers(LayerWeights(shapes=[(20, 17, 2), (9, 30, 1), (4, 4, 1)]), "delta_gram", out, path)
    with refused(r"block\.1\.attn1\.to_q was 9 × 30 when it was fitted and is 9 × 31"):
        extract_layers(LayerWeights(shapes=[(20, 17, 2), (9, 31, 1)]), "delta_gram", out, path)
    assert not out.exists()


def test_damaged_fits_are_refused(tmp_path, refused):
    path = tmp_path / "fit"
    with refused("fit: no such file"):
        load_fit(path, "pca")
    fit(LayerWeights(), "pca", TRAIN, path)
    path.write_bytes(path.read_bytes()[:-50])
    with refused("not a readable safetensors file"):
        load_fit(path, "pca")


def test_a_fit_serves_adapters_of_another_rank(tmp_path):
    fit(LayerWeights(shapes=[(20, 17, 2)]), "delta_gram", TRAIN, tmp_path / "fit")
    weights = LayerWeights(shapes=[(20, 17, 4)])
    extract_layers(weights, "delta_gram", tmp_path / "features", tmp_path / "fit")
    assert read_features([tmp_path / "features"])[0].shape == (30, 2 * 16 * 17 / 2)


def test_unknown_representations_and_half_layers_are_refused(tmp_path, refused):
    with refused("'delta' is not known; choose from: canonical"):
        extract_layers(LayerWeights(), "delta", tmp_path / "features")
    weights = LayerWeights()
    del weights.matrices[3]
    with refused(r"layer block\.1\.attn1\.to_q lacks its up matrix"):
        extract_layers(weights, "flat", tmp_path / "features")


def test_a_single_training_adapter_is_enough(tmp_path):
    rows = np.arange(30) == 4
    for name in FITTED:
        _, path = fit_and_extract(LayerWeights(), name, tmp_path, rows)
        assert np.isfinite(read_features([path])[0]).all()
