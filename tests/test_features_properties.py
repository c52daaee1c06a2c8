"""What each representation does under scaling, sign flips, shifts, permutations and transposition."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lorascope.features import registry
from lorascope.features.batch import MatrixBatch

COMPUTED = tuple(name for name in registry.of_matrices() if registry.parts(name) == (name,))
SYMMETRIC_UNDER_PERMUTATION = ("simple_stats", "rank_based", "stats", "distribution", "info_theoretic")
# Features that do not change when all entries are multiplied by a positive number; all others scale with it.
SCALE_FREE = (
    *(f"singular_value_{i}_share" for i in range(1, 11)),
    *(f"singular_gap_{i}" for i in range(1, 10)),
    *("spectral_entropy", "condition_number", "nuclear_over_frobenius", "spectral_over_frobenius"),
    *("std_over_absolute_mean", "skewness", "kurtosis", "top_10_energy_share"),
    *("histogram_entropy", "histogram_entropy_normalised"),
)


def compute(name, values):
    """Return the features of matrices [n, rows, cols] by name, float64 [n] each."""
    table = registry.load(name).compute(MatrixBatch(np.ascontiguousarray(values, np.float32)))
    return dict(zip(registry.feature_names(name), table.T.astype(np.float64), strict=True))


def matrices(elements=None):
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 24), st.integers(1, 24))
    return hnp.arrays(
        np.float32, shapes, elements=st.floats(-8, 8, width=16) if elements is None else elements
    )


def assert_same(found, expected, values, names=None, atol=2e-5):
    """Compare features; the tolerance is relative to the largest entry and the number of entries."""
    size = values[0].size
    tolerance = atol * np.sqrt(size) * np.maximum(np.abs(values).max(), 1)
    for name in names or expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-4, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", COMPUTED)
@given(values=matrices(st.floats(width=32, allow_nan=False, allow_infinity=False)))
@settings(deadline=None)
def test_any_finite_matrix_has_finite_features(name, values):
    for feature, found in compute(name, values).items():
        assert np.isfinite(found).all(), feature


@pytest.mark.parametrize("name", COMPUTED)
@given(values=matrices(), exponent=st.integers(-60, 60))
@settings(deadline=None)
def test_powers_of_two_scale_exactly_or_not_at_all(name, values, exponent):
    factor = 2.0**exponent
    before, after = compute(name, values), compute(name, values * factor)
    for feature, expected in before.items():
        scaled = expected if feature in SCALE_FREE else expected * factor
        np.testing.assert_allclose(after[feature], scaled, rtol=1e-5, atol=1e-6 * factor, err_msg=feature)


@pytest.mark.parametrize("name", COMPUTED)
@given(values=matrices())
@settings(deadline=None)
def test_each_adapter_is_on_its_own(name, values):
    together = registry.load(name).compute(MatrixBatch(values))
    alone = [registry.load(name).compute(MatrixBatch(values[i : i + 1])) for i in range(len(values))]
    assert np.array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("name", COMPUTED)
@given(values=matrices())
@settings(deadline=None, max_examples=50)
def test_what_else_is_asked_for_changes_no_value(name, values):
    alone, together = MatrixBatch(values), MatrixBatch(values)
    for other in COMPUTED:
        registry.load(other).compute(together)
    compute = registry.load(name).compute
    assert compute(alone).tobytes() == compute(together).tobytes()


@pytest.mark.parametrize("name", SYMMETRIC_UNDER_PERMUTATION)
@given(values=matrices(), seed=st.integers(0, 100))
@settings(deadline=None)
def test_order_of_entries_does_not_matter(name, values, seed):
    order = np.random.default_rng(seed).permutation(values[0].size)
    shuffled = values.reshape(len(values), -1)[:, order].reshape(values.shape)
    assert_same(compute(name, shuffled), compute(name, values), values)


@pytest.mark.parametrize("name", ["spectral", "matrix_norms"])
@given(values=matrices(), seed=st.integers(0, 100))
@settings(deadline=None)
def test_order_of_rows_and_columns_does_not_matter_to_the_spectrum(name, values, seed):
    rng = np.random.default_rng(seed)
    rows, cols = rng.permutation(values.shape[1]), rng.permutation(values.shape[2])
    expected = compute(name, values)
    stable = [feature for feature in expected if feature not in ill_conditioned(expected)]
    assert_same(compute(name, values[:, rows][:, :, cols]), expected, values, stable)


def ill_conditioned(features):
    """Return the features that jump with the numerical rank or divide by small singular values."""
    gaps = [feature for feature in features if feature.startswith("singular_gap")]
    return ["condition_number", *gaps]


@pytest.mark.parametrize("name", COMPUTED)
@given(values=matrices())
@settings(deadline=None)
def test_transposition(name, values):
    before, after = compute(name, values), compute(name, values.swapaxes(1, 2))
    if name == "matrix_norms":
        after["l1_norm"], after["linf_norm"] = after["linf_norm"], after["l1_norm"]
    stable = [feature for feature in before if feature not in ill_conditioned(before)]
    assert_same(after, before, values, stable)


@pytest.mark.parametrize("name", ["spectral", "matrix_norms", "frequency"])
@given(values=matrices())
@settings(deadline=None)
def test_sign_does_not_matter_to_norms_and_magnitudes(name, values):
    assert_same(compute(name, -values), compute(name, values), values)


@given(values=matrices())
@settings(deadline=None)
def test_sign_mirrors_order_statistics_and_odd_moments(values):
    before, after = compute("stats", values), compute("stats", -values)
    mirrored = {"mean": "mean", "median": "median", "min": "max", "max": "min", "skewness": "skewness"}
    assert_same(after, {name: -before[source] for name, source in mirrored.items()}, values)
    assert_same(after, before, values, ["std", "kurtosis"])
    before, after = compute("rank_based", values), compute("rank_based", -values)
    for percent in (1, 5, 10, 25, 50):
        expected = -before[f"percentile_{100 - percent}"]
        np.testing.assert_allclose(after[f"percentile_{percent}"], expected, atol=1e-5)


@given(values=matrices(st.integers(-40, 40)), shift=st.integers(-50, 50))
@settings(deadline=None)
def test_shift_moves_location_and_nothing_else(values, shift):
    for name in ("stats", "rank_based", "info_theoretic"):
        before, after = compute(name, values), compute(name, values + shift)
        moved = [f for f in before if f in ("mean", "median", "min", "max") or f.startswith("percentile")]
        moved = [feature for feature in moved if "minus" not in feature]
        expected = {name: found + (shift if name in moved else 0) for name, found in before.items()}
        assert_same(after, expected, values)


@given(values=matrices())
@settings(deadline=None)
def test_orders_and_bounds(values):
    ranks = list(compute("rank_based", values).values())[:9]
    assert all((low <= high + 1e-6).all() for low, high in pairwise(ranks))
    spectral, norms = compute("spectral", values), compute("matrix_norms", values)
    assert (spectral["condition_number"] <= 2.0**24).all()
    assert (spectral["spectral_entropy"] <= np.log(min(values.shape[1:])) + 1e-6).all()
    assert (norms["spectral_norm"] <= norms["frobenius_norm"] * (1 + 1e-6)).all()
    assert (norms["frobenius_norm"] <= norms["nuclear_norm"] * (1 + 1e-6)).all()
    frequency = compute("frequency", values)
    magnitudes = [frequency[f"magnitude_{i}"] for i in range(1, 11)]
    assert all((high >= low).all() for high, low in pairwise(magnitudes))
    assert ((frequency["top_10_energy_share"] >= 0) & (frequency["top_10_energy_share"] <= 1)).all()
    entropy = compute("info_theoretic", values)["histogram_entropy_normalised"]
    assert ((entropy >= 0) & (entropy <= 1 + 1e-6)).all()


@given(values=matrices())
@settings(deadline=None)
def test_energy_is_the_same_in_both_domains(values):
    frequency, norms = compute("frequency", values), compute("matrix_norms", values)
    mean_energy = frequency["magnitude_std"] ** 2 + frequency["magnitude_mean"] ** 2
    np.testing.assert_allclose(mean_energy, norms["frobenius_norm"] ** 2, rtol=1e-4, atol=1e-6)


@given(rotation=st.integers(0, 1000), rank=st.integers(1, 6))
@settings(deadline=None)
def test_rotations_keep_the_spectrum(rotation, rank):
    rng = np.random.default_rng(rotation)
    values = rng.standard_normal((1, 60, rank))
    left, _ = np.linalg.qr(rng.standard_normal((60, 60)))
    right, _ = np.linalg.qr(rng.standard_normal((rank, rank)))
    before, after = compute("spectral", values), compute("spectral", left @ values @ right)
    for feature, expected in before.items():
        np.testing.assert_allclose(after[feature], expected, rtol=1e-4, atol=1e-5, err_msg=feature)
