"""The example in docs/adding-a-representation.md is a representation that keeps all the rules."""

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lorascope.features.batch import MatrixBatch

PAGE = Path(__file__).parent.parent / "docs" / "adding-a-representation.md"


@pytest.fixture
def sparsity():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    module = ModuleType("sparsity")
    exec(code, module.__dict__)
    return module


def test_example_computes_what_it_says(sparsity):
    values = np.random.default_rng(0).standard_normal((5, 4, 60), dtype=np.float32)
    found = sparsity.compute(MatrixBatch(values))
    assert found.shape == (5, len(sparsity.NAMES))
    assert found.dtype == np.float32
    for matrix, (near_zero, participation) in zip(values.astype(np.float64), found, strict=True):
        assert near_zero == pytest.approx(np.mean(np.abs(matrix) < 0.1 * np.abs(matrix).max()))
        assert participation == pytest.approx(np.sum(matrix**2) ** 2 / (matrix.size * np.sum(matrix**4)))


def test_example_keeps_its_word_on_zero_matrices(sparsity):
    assert np.array_equal(sparsity.compute(MatrixBatch(np.zeros((2, 1, 7), np.float32)))[:, 1], [0, 0])


def test_example_runs_through_torch(sparsity):
    values = np.random.default_rng(0).standard_normal((5, 4, 60), dtype=np.float32)
    found = sparsity.compute(MatrixBatch(torch.from_numpy(values)))
    np.testing.assert_allclose(found.numpy(), sparsity.compute(MatrixBatch(values)), rtol=1e-5)
