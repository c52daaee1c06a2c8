"""The factors of a layer against the dense ΔW, at every rank and scale, without ever forming one."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from layered import RANKS, dense, fitted_to, random_factors
from lorascope.features.delta_axes import AxesFitter
from lorascope.features.layer_factors import NEGLIGIBLE, LayerFactors
from lorascope.features.registry import load_layer, of_layers


@pytest.mark.parametrize("rank", RANKS)
def test_the_svd_is_that_of_the_dense_update(rank):
    factors = random_factors(rank)
    expected = np.linalg.svd(dense(factors), compute_uv=False)[:, :rank]
    np.testing.assert_allclose(factors.S, expected, rtol=1e-12, atol=1e-12)
    rebuilt = (factors.U * factors.S[:, None]) @ factors.V.swapaxes(1, 2)
    np.testing.assert_allclose(rebuilt, dense(factors), atol=1e-12)
    np.testing.assert_allclose(factors.norm, np.linalg.norm(dense(factors), axis=(1, 2)), rtol=1e-12)
    unit = factors.unit_left @ factors.V.swapaxes(1, 2) * factors.norm[:, None, None]
    np.testing.assert_allclose(unit, dense(factors), atol=1e-12)


@pytest.mark.parametrize("rank", RANKS)
def test_vectors_are_orthonormal_where_there_is_a_component_and_zero_elsewhere(rank):
    factors = random_factors(rank)
    present = factors.S > 0
    assert present.sum(axis=1).tolist() == [
        {3: 0, 5: rank - (rank > 1)}.get(adapter, rank) for adapter in range(len(factors))
    ]
    for vectors in (factors.U, factors.V):
        products = vectors.swapaxes(1, 2) @ vectors
        np.testing.assert_allclose(products, np.eye(rank) * present[:, None], atol=1e-13)


def test_there_are_no_more_components_than_the_smaller_side_has():
    factors = random_factors(8, d_out=5, d_in=3)
    assert factors.U.shape == (12, 5, 3)
    assert factors.V.shape == (12, 3, 3)
    expected = np.linalg.svd(dense(factors), compute_uv=False)
    np.testing.assert_allclose(factors.S, expected, rtol=1e-12, atol=1e-12)


def test_components_that_are_rounding_do_not_count():
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((3, 3))
    down, up = np.zeros((1, 3, 40)), np.zeros((1, 30, 3))
    down[:, 0], up[:, :, 0] = rng.standard_normal(40), rng.standard_normal(30)
    mixed = LayerFactors((basis @ down).astype(np.float32), (up @ np.linalg.inv(basis)).astype(np.float32))
    unfiltered = np.linalg.svd(dense(mixed)[0], compute_uv=False)
    assert 0 < unfiltered[1] < NEGLIGIBLE * unfiltered[0]
    assert (mixed.S > 0).tolist() == [[True, False, False]]


def test_small_singular_values_keep_their_digits():
    # Whole numbers and powers of two, so that float32 holds the factors, whatever their basis, exactly.
    basis, inverse = np.tri(3) * [[1, 1, 1], [3, 1, 1], [5, 7, 1]], [[1, 0, 0], [-3, 1, 0], [16, -7, 1]]
    np.testing.assert_array_equal(basis @ inverse, np.eye(3))
    sizes = 2.0 ** -np.array([0, 8, 18])
    up, down = np.eye(50, 3) * sizes @ inverse, basis @ np.eye(3, 60)
    factors = LayerFactors(down[None].astype(np.float32), up[None].astype(np.float32))
    np.testing.assert_allclose(factors.S[0], sizes, rtol=1e-9)


EXTREMES = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("name", of_layers())
@given(
    down=hnp.arrays(np.float32, (3, 2, 6), elements=EXTREMES),
    up=hnp.arrays(np.float32, (3, 5, 2), elements=EXTREMES),
)
def test_any_finite_factors_have_finite_features(name, down, up):
    factors = LayerFactors(down, up)
    fitted = fitted_to(name, factors)
    assert np.isfinite(load_layer(name).compute(factors, fitted)).all()


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("name", of_layers())
def test_nothing_is_as_large_as_the_update(name, rank):
    large, few = 6000, 2
    factors = random_factors(rank, n=few + 4, d_out=large, d_in=large)
    if load_layer(name).FITTED and load_layer(name).Fitter is AxesFitter:
        axes = np.linalg.qr(np.random.default_rng(0).standard_normal((large, 16)))[0]
        fitted = {"left": axes, "right": axes}
    else:
        fitted = fitted_to(name, factors)
    fresh = LayerFactors(factors.down[:few], factors.up[:few])
    tracemalloc.start()
    load_layer(name).compute(fresh, fitted)
    if load_layer(name).FITTED and load_layer(name).Fitter is not AxesFitter:
        fitted_to(name, random_factors(rank, n=6, d_out=large, d_in=large))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < large * large
