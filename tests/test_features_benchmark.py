"""The benchmark compares like with like: same shape as the published sets, same features as the baseline."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.features import registry
from lorascope.features.batch import MatrixBatch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


@pytest.mark.usefixtures("benchmarks")
def test_weights_have_the_published_shape(tmp_path):
    import published_shape

    groups = [published_shape.matrices(group) for group in published_shape.GROUPS]
    assert [len(group) for group in groups] == [64, 64]
    assert sum(matrix.size for group in groups for matrix in group) == 99_648
    published_shape.write(tmp_path, 3)
    weights = published_shape.open_group(tmp_path, "attn2", 3)
    assert weights.read(2, 1, 3).shape == (2, 1, 768)


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize("shape", [(1, 320), (320, 1), (4, 96), (96, 16)], ids=str)
@pytest.mark.parametrize("name", registry.of_matrices())
def test_baseline_computes_the_same_features(name, shape):
    import per_sample_torch
    import torch

    values = np.random.default_rng(0).standard_normal((3, *shape), dtype=np.float32)
    function = per_sample_torch.REPRESENTATIONS[name]
    baseline = torch.stack([function(torch.from_numpy(matrix)) for matrix in values]).numpy()
    parts = [registry.load(part).compute(MatrixBatch(values)) for part in registry.parts(name)]
    # float32 throughout: an entry next to a bin's edge may fall to the other side of it.
    np.testing.assert_allclose(baseline, np.hstack(parts), rtol=2e-3, atol=2e-3)


def test_the_benchmark_measures_every_line(tmp_path):
    command = [
        sys.executable,
        str(BENCHMARKS / "extract.py"),
        "--out",
        str(tmp_path),
        "--scratch",
        str(tmp_path),
    ]
    options = ["--adapters", "3", "--repeats", "1", "--sample", "1"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    rows = list(csv.DictReader((tmp_path / "extract.csv").read_text().splitlines()))
    assert [row["measurement"] for row in rows[1:9]] == [
        name for name in registry.of_matrices() if registry.parts(name) == (name,)
    ]
    assert len(rows) == 14
    assert all(float(row["cpu"]) > 0 for row in rows)
    assert 0 < float(rows[9]["parquet"]) < 1
    required = (tmp_path / "extract.md").read_text().split("must hold")[1]
    assert sum(" hold" in line for line in required.splitlines()) == 5


@pytest.mark.usefixtures("benchmarks")
def test_a_bound_that_is_passed_does_not_hold():
    from extract_tables import requirements

    def rows(adapters, cpu, **figures):
        nine = {"seconds": 40.0, "cpu": cpu, "times_limit": 2.5, "parquet": 0.1, "megabytes": 300.0}
        nine["times_as_fast"] = 2.0
        one = {"adapters": adapters, "ms_per_adapter": 1000 * cpu / adapters}
        return [
            {**one, **nine, **figures, "measurement": "nine together"},
            {**one, **nine, **figures, "measurement": "nine, two processes"},
            {**one, **nine, "cpu": 60 * cpu, "measurement": "per-sample torch (2 adapters, scaled up)"},
        ]

    assert all(one.holds for one in requirements([*rows(1000, 3.0), *rows(50_000, 150.0)]))
    assert len(requirements([*rows(1000, 3.0), *rows(50_000, 150.0)])) == 12
    broken = rows(1000, 3.0, times_limit=3.1, parquet=0.21, megabytes=1600.0, times_as_fast=1.6)
    assert [one.holds for one in requirements([*broken, *rows(2000, 7.5)])[:5]] == [False] * 3 + [True, False]
    assert not requirements([*broken, *rows(2000, 7.5)])[-1].holds
