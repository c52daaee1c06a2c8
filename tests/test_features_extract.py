"""From weights to feature files and back: layout, boundaries, refusals, threads."""

import hashlib
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorascope.errors import LorascopeError
from lorascope.features import registry
from lorascope.features.batch import MatrixBatch
from lorascope.features.extract import FeatureFile, extract
from lorascope.features.read import matrix_of, read_features
from lorascope.files import read_metadata, write_table

COMPUTED = tuple(name for name in registry.of_matrices() if registry.parts(name) == (name,))
COUNTS = {
    "simple_stats": 640,
    "rank_based": 1408,
    "stats": 896,
    "spectral": 4096,
    "matrix_norms": 896,
    "distribution": 1536,
    "frequency": 1792,
    "info_theoretic": 256,
    "ensemble": 8576,
}
SHAPES = [(1, 48), (32, 1), (4, 40), (24, 2), (30, 30)]


class Weights:
    """Weights in memory, with the interface that extraction needs."""

    def __init__(self, n_adapters, shapes=SHAPES, seed=0):
        rng = np.random.default_rng(seed)
        self.n_adapters = n_adapters
        self.matrices = [
            SimpleNamespace(name=f"block.{i}.attn1.weight", rows=rows, cols=cols)
            for i, (rows, cols) in enumerate(shapes)
        ]
        self.values = [rng.standard_normal((n_adapters, *shape), dtype=np.float32) for shape in shapes]

    def read(self, matrix, start, stop):
        return self.values[matrix][start:stop]


def extract_all(weights, folder, names=COMPUTED, **settings):
    paths = {name: folder / f"{name}.parquet" for name in names}
    extract(weights, [FeatureFile(name, path, {"key": "0"}) for name, path in paths.items()], **settings)
    return paths


@pytest.mark.parametrize("name", COUNTS)
def test_feature_counts_of_the_published_schema(name):
    assert 128 * registry.feature_count(name) == COUNTS[name]
    assert len(set(registry.feature_names(name))) == registry.feature_count(name)


def test_columns_are_the_features_of_each_matrix_in_order(tmp_path):
    weights = Weights(7)
    for name, path in extract_all(weights, tmp_path).items():
        features, columns = read_features([path])
        names = registry.feature_names(name)
        assert columns == [f"{matrix.name}/{feature}" for matrix in weights.matrices for feature in names]
        expected = np.hstack([registry.load(name).compute(MatrixBatch(values)) for values in weights.values])
        assert features.dtype == np.float32
        assert np.array_equal(features, expected)


def test_files_are_float32_without_nulls_and_say_what_they_hold(tmp_path):
    (path,) = extract_all(Weights(3), tmp_path, ["stats"]).values()
    table = pq.read_table(path)
    assert {str(column.type) for column in table.columns} == {"float"}
    assert all(column.null_count == 0 for column in table.columns)
    assert read_metadata(path) == {"key": "0", "representation": "stats"}


@pytest.mark.parametrize("row_chunk", [1, 7, 10, 64])
@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_values_do_not_depend_on_chunks(tmp_path, monkeypatch, row_chunk, block):
    shapes = [(1, 48), (32, 1), (4, 40), (1, 9001), (2, 12001)]
    weights = Weights(21, shapes)
    weights.values[0][3:9] *= 1e-30
    monkeypatch.setattr("lorascope.features.extract.BLOCK_ENTRIES", 1 << 17)
    whole = extract_all(weights, tmp_path / "whole")
    monkeypatch.setattr("lorascope.features.extract.BLOCK_ENTRIES", block)
    monkeypatch.setattr("lorascope.features.namespace.TILE_ENTRIES", max(block // 3, 1))
    chunked = extract_all(weights, tmp_path / "chunked", row_chunk=row_chunk)
    for name in COMPUTED:
        assert pq.ParquetFile(chunked[name]).num_row_groups == -(-21 // row_chunk)
        expected, found = read_features([whole[name]]), read_features([chunked[name]])
        assert found[1] == expected[1]
        assert found[0].tobytes() == expected[0].tobytes()


def test_files_do_not_depend_on_what_else_is_extracted(tmp_path):
    weights = Weights(5)
    together = extract_all(weights, tmp_path / "together")
    for name in COMPUTED:
        (alone,) = extract_all(weights, tmp_path / "alone", [name]).values()
        assert alone.read_bytes() == together[name].read_bytes()


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_features_extract import Weights, extract_all
extract_all(Weights(40, [(16, 1280), (1280, 8), (1, 20000)]), Path(sys.argv[2]))
assert not {"torch", "numba", "scipy", "pandas", "matplotlib", "datasets"} & set(sys.modules)
"""


def digests_with_threads(threads, folder, tests):
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = [sys.executable, "-c", PROGRAM, str(tests), str(folder)]
    subprocess.run(command, env=environment, check=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_two_threads_give_the_bytes_of_one_and_nothing_heavy_is_imported(tmp_path, request):
    tests = request.path.parent
    # Compiles the loops, which imports numba, unless that was done before.
    extract_all(Weights(1), tmp_path / "compiled")
    one = digests_with_threads("1", tmp_path / "one", tests)
    assert len(one) == len(COMPUTED)
    assert digests_with_threads("2", tmp_path / "two", tests) == one


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", COMPUTED)
def test_non_finite_weights_are_refused_by_matrix_and_row(tmp_path, name, value):
    weights = Weights(12)
    weights.values[2][9, 1, 5] = value
    weights.values[2][11, 0, 0] = value
    with pytest.raises(LorascopeError, match=r"'block\.2\.attn1\.weight': adapter row 9 "):
        extract_all(weights, tmp_path, [name], row_chunk=4)
    assert list(tmp_path.iterdir()) == []


def test_unknown_and_combined_representations_are_refused(tmp_path):
    with pytest.raises(LorascopeError, match="'spectrum' is not known; choose from: canonical"):
        extract_all(Weights(2), tmp_path, ["spectrum"])
    with pytest.raises(LorascopeError, match="'ensemble' has no features of its own"):
        extract_all(Weights(2), tmp_path, ["ensemble"])


def test_ensemble_is_its_parts_side_by_side(tmp_path):
    paths = extract_all(Weights(6), tmp_path)
    parts = [paths[part] for part in registry.parts("ensemble")]
    features, names = read_features(parts)
    assert features.shape == (6, 67 * len(SHAPES))
    assert np.array_equal(features, np.hstack([read_features([path])[0] for path in parts]))
    assert len(set(names)) == len(names)
    assert names[-1] == "block.4.attn1.weight/info_theoretic.histogram_entropy_normalised"
    assert {name.rpartition("/")[2] for name in names} == set(registry.feature_names("ensemble"))


def test_features_of_chosen_matrices(tmp_path):
    weights = Weights(6)
    paths = extract_all(weights, tmp_path)
    chosen = {weights.matrices[1].name, weights.matrices[3].name}
    everything, names = read_features([paths["stats"]])
    features, found = read_features([paths["stats"]], chosen)
    kept = [matrix_of(name) in chosen for name in names]
    assert found == [name for name in names if matrix_of(name) in chosen]
    assert np.array_equal(features, everything[:, kept])


def test_reading_refuses_what_does_not_fit(tmp_path):
    six, seven = (extract_all(Weights(n), tmp_path / str(n), ["stats"])["stats"] for n in (6, 7))
    with pytest.raises(LorascopeError, match=r"7 adapters where .* has 6"):
        read_features([six, seven])
    with pytest.raises(LorascopeError, match="no features of matrix up_blocks"):
        read_features([six], {"up_blocks"})
    with pytest.raises(LorascopeError, match="no such file"):
        read_features([tmp_path / "absent.parquet"])
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(six.read_bytes()[:-100])
    with pytest.raises(LorascopeError, match="not a readable feature file"):
        read_features([damaged])
    write_table(damaged, pa.table({"a": [1.0]}))
    with pytest.raises(LorascopeError, match="not a feature file"):
        read_features([damaged])


MEMORY_PROGRAM = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_features_extract import Weights, extract_all

class Repeating(Weights):
    def read(self, matrix, start, stop):
        return self.values[matrix][: stop - start]

weights = Repeating(5000, [(1, 64)] * 20)
weights.n_adapters = int(sys.argv[3])
extract_all(weights, Path(sys.argv[2]), row_chunk=5000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_number_of_adapters(tmp_path, request):
    def peak(n_adapters):
        command = [
            sys.executable,
            "-c",
            MEMORY_PROGRAM,
            str(request.path.parent),
            str(tmp_path),
            str(n_adapters),
        ]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    few, many = peak(5_000), peak(40_000)
    written = sum(path.stat().st_size for path in tmp_path.iterdir()) / 2**20
    assert many - few < written / 3
