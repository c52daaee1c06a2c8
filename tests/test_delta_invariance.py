"""What layer representations claim not to notice, and that the tests of it could fail."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layered import RANKS, dense, fitted_to, random_factors
from lorascope.features.certify import certify
from lorascope.features.invariance import (
    CHANGES,
    ROUNDING,
    TOLERANCES,
    claimed,
    drifts,
    invariance,
    synthetic_factors,
)
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.registry import load_layer, of_layers, of_matrices

GAUGE_FREE = tuple(name for name in of_layers() if name not in ("flat", "pca"))
# Changes that leave ΔW alone and that factors as they are in the file cannot hide.
TELLTALE = ("signs", "rescaling", "basis", "refactoring")


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("name", of_layers())
def test_claims_hold(name, rank):
    for change, found in invariance(name, rank).items():
        assert found["claimed"] == (change in claimed(name))
        assert found["tolerance"] == TOLERANCES[change]
        assert not found["claimed"] or found["holds"], (change, found)


def test_what_is_claimed():
    assert all(set(claimed(name)) == set(CHANGES) for name in GAUGE_FREE if name != "factors")
    assert set(claimed("factors")) == set(CHANGES) - set(ROUNDING)
    assert claimed("flat") == claimed("pca") == ROUNDING
    assert {claimed(name) for name in of_matrices()} == {()}


@pytest.mark.parametrize("rank", RANKS)
def test_factors_as_they_are_notice_every_change_of_basis(rank):
    for name in ("flat", "pca", "simple_stats", "stats", "ensemble"):
        found = drifts(name, synthetic_factors(rank))
        for change in TELLTALE:
            assert found[change] > 0.05, (name, change)
        assert found["rescaling"] > 1


def test_the_pca_of_one_rank_does_not_fit_another():
    assert drifts("pca", synthetic_factors(2))["padding"] is None
    assert invariance("pca")["padding"]["holds"] is False


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("change", CHANGES)
def test_changes_do_what_they_say(change, rank):
    factors = synthetic_factors(rank)
    down, up = (
        x.astype(np.float64)
        for x in CHANGES[change](
            factors.down.astype(np.float64), factors.up.astype(np.float64), np.random.default_rng(0)
        )
    )
    assert down.shape != factors.down.shape or not np.allclose(down, factors.down, atol=0, rtol=1e-7)
    limit = {"float16": 5e-3, "int8": 0.2}.get(change, 1e-6)
    error = np.abs(up @ down - dense(factors)).max()
    assert error < limit * np.abs(dense(factors)).max()
    assert change not in ROUNDING or error > 1e-5


def drift_between_adapters(representation, factors):
    """Return the drift when every adapter is replaced by the next."""
    fitted = fitted_to(representation, factors)
    features = load_layer(representation).compute(factors, fitted).astype(np.float64)
    moved = np.roll(features, 1, axis=0) - features
    varies = features.std(axis=0) > 1e-6
    return np.sqrt(np.mean((moved[:, varies] / features.std(axis=0)[varies]) ** 2))


@pytest.mark.parametrize("name", of_layers())
def test_features_tell_adapters_apart(name):
    assert drift_between_adapters(name, synthetic_factors(4)) == pytest.approx(np.sqrt(2), rel=0.2)


@pytest.mark.parametrize("name", GAUGE_FREE)
@given(seed=st.integers(0, 2**32), rank=st.sampled_from(RANKS[1:]))
def test_random_changes_of_basis(name, seed, rank):
    factors = synthetic_factors(rank, n=8)
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((8, rank, rank))
    basis += np.sign(np.linalg.det(basis))[:, None, None] * 0.5 * np.eye(rank)
    condition = np.linalg.cond(basis).max()
    changed = LayerFactors(
        (basis @ factors.down).astype(np.float32), (factors.up @ np.linalg.inv(basis)).astype(np.float32)
    )
    fitted = fitted_to(name, factors)
    compute = load_layer(name).compute
    # float32 holds each changed factor to 2⁻²⁴; the last component is smaller than the first.
    tolerance = 2.0**-24 * condition * 2**rank * 20
    np.testing.assert_allclose(compute(changed, fitted), compute(factors, fitted), atol=tolerance)


@pytest.mark.parametrize("name", [name for name in GAUGE_FREE if load_layer(name).FITTED])
def test_fits_do_not_notice_the_basis_either(name):
    factors = synthetic_factors(4)
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((len(factors), 4, 4)))[0]
    scales = 10.0 ** rng.uniform(-2, 2, (len(factors), 1, 1))
    changed = LayerFactors(
        (basis @ factors.down * scales).astype(np.float32),
        (factors.up @ basis.swapaxes(1, 2) / scales).astype(np.float32),
    )
    compute = load_layer(name).compute
    expected = compute(factors, fitted_to(name, factors))
    np.testing.assert_allclose(compute(factors, fitted_to(name, changed)), expected, atol=2e-4)


@pytest.mark.parametrize("name", GAUGE_FREE)
def test_alpha_changes_sizes_only(name):
    factors = random_factors(4)
    scaled = LayerFactors(factors.down, factors.up * np.float32(8))
    fitted = fitted_to(name, factors)
    module = load_layer(name)
    names = module.names(factors.d_out, factors.d_in, factors.rank, fitted)
    shift = np.array([np.log(8) if name.startswith("log") else 0.0 for name in names])
    moved = module.compute(scaled, fitted) - module.compute(factors, fitted)
    expected = np.where((factors.norm > 0)[:, None], shift, 0.0)
    # The floor of a logarithm moves with σ₁, so also where a component is absent.
    np.testing.assert_allclose(moved, expected, atol=2e-5)


@pytest.mark.parametrize("name", ["stats", "delta_spectrum", "flat"])
def test_an_adapter_without_any_update_drifts_nowhere(name):
    found = drifts(name, random_factors(2))
    assert all(np.isfinite(found[change]) for change in TELLTALE + ROUNDING)


def test_the_certificate_is_that_of_the_worst_layer():
    layers = {"one": synthetic_factors(2), "other": synthetic_factors(4)}
    alone = [drifts("flat", factors) for factors in layers.values()]
    found = certify("flat", layers)["drifts"]
    for change in TELLTALE:
        assert found[change] == max(each[change] for each in alone) > min(each[change] for each in alone)
