"""The benchmark compares like with like: same shape as the published sets, same features as the baseline."""

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
@pytest.mark.parametrize("name", registry.REPRESENTATIONS)
def test_baseline_computes_the_same_features(name, shape):
    import per_sample_torch
    import torch

    values = np.random.default_rng(0).standard_normal((3, *shape), dtype=np.float32)
    function = per_sample_torch.REPRESENTATIONS[name]
    baseline = torch.stack([function(torch.from_numpy(matrix)) for matrix in values]).numpy()
    parts = [registry.load(part).compute(MatrixBatch(values)) for part in registry.parts(name)]
    # float32 throughout: an entry next to a bin's edge may fall to the other side of it.
    np.testing.assert_allclose(baseline, np.hstack(parts), rtol=2e-3, atol=2e-3)
