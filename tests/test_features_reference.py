"""Every representation against plain float64 definitions, for ordinary and for degenerate matrices."""

import numpy as np
import pytest

from lorascope.features import registry
from lorascope.features.batch import MatrixBatch
from reference.representations import reference

COMPUTED = tuple(name for name in registry.of_matrices() if registry.parts(name) == (name,))
SHAPES = [
    (rank, size) if down else (size, rank)
    for rank in (1, 2, 4, 16)
    for size in (320, 768, 1281)
    for down in (1, 0)
]


def compute(name, values):
    return registry.load(name).compute(MatrixBatch(np.asarray(values, np.float32)))


def assert_matches(name, values, rtol=2e-6):
    """Compare with the reference; absolute tolerance is that of float32 sums over the matrix."""
    values = np.asarray(values, np.float32)
    found, expected = compute(name, values), reference(name, values)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    peak = np.abs(values.astype(np.float64)).max(axis=(1, 2))[:, None]
    scale = tolerance_scale(name, peak, values[0].size)
    allowed = rtol * np.abs(expected) + 1e-6 * scale + np.finfo(np.float32).smallest_subnormal
    excess = np.abs(found - expected) - allowed
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    feature = registry.feature_names(name)[worst[1]]
    assert excess.max() <= 0, f"{feature}: {found[worst]} instead of {expected[worst]}"


def tolerance_scale(name, peak, size):
    """Return per feature the size of numbers whose sums or differences it is."""
    dimensionless = ("share", "gap", "entropy", "number", "over", "skewness", "kurtosis")
    names = registry.feature_names(name)
    unit = np.ones_like(peak)
    columns = [unit if any(word in feature for word in dimensionless) else peak for feature in names]
    scale = np.concatenate(columns, axis=1)
    return scale * np.sqrt(size) if name == "frequency" else scale


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gaussian_matrices(name, shape):
    values = np.random.default_rng(0).standard_normal((5, *shape), dtype=np.float32)
    assert_matches(name, values * np.array([1, 1e-3, 30, 1e-6, 1], np.float32)[:, None, None] + 0.01)


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("shape", [(1, 320), (320, 1), (4, 64), (64, 4)], ids=str)
def test_heavy_tails_and_ties(name, shape):
    rng = np.random.default_rng(1)
    heavy = rng.standard_t(2, (3, *shape))
    ties = rng.integers(-3, 4, (3, *shape))
    sparse = rng.standard_normal((3, *shape)) * (rng.random((3, *shape)) < 0.1)
    assert_matches(name, np.concatenate([heavy, ties, sparse]))


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("shape", [(40, 40), (40, 60), (100, 70)], ids=str)
def test_neither_side_small(name, shape):
    assert_matches(name, np.random.default_rng(2).standard_normal((3, *shape)), rtol=1e-5)


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 10, 11, 19, 20])
def test_fewer_entries_than_features(name, size):
    values = np.random.default_rng(size).standard_normal((4, size, 1))
    assert_matches(name, values)
    assert_matches(name, values.swapaxes(1, 2))


def degenerate(shape):
    impulse, last = np.zeros(shape), np.zeros(shape)
    impulse[0, 0], last[-1, -1] = 3, -2
    alternating = np.where(np.arange(np.prod(shape)).reshape(shape) % 2, 1.0, -1.0)
    ramp = np.arange(np.prod(shape), dtype=float).reshape(shape)
    return {
        "zeros": np.zeros(shape),
        "constant": np.full(shape, 0.1),
        "negative constant": np.full(shape, -7.3),
        "impulse": impulse,
        "last entry": last,
        "alternating": alternating,
        "ramp": ramp,
    }


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("kind", degenerate((1, 1)))
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 320), (321, 1), (4, 64), (64, 3), (8, 8)], ids=str)
def test_degenerate_matrices(name, kind, shape):
    assert_matches(name, degenerate(shape)[kind][None])


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("exponent", [-40, -38, -30, -15, 15, 30, 37])
@pytest.mark.parametrize("shape", [(1, 320), (320, 1), (4, 64)], ids=str)
def test_huge_and_denormal_entries(name, exponent, shape):
    values = np.random.default_rng(3).standard_normal((4, *shape)) * 10.0**exponent
    values = values.astype(np.float32)
    values[1] = values[1, 0, 0]
    values[2] = 0
    values[2, -1, -1] = 10.0**exponent
    assert_matches(name, values)


@pytest.mark.parametrize("name", COMPUTED)
def test_beyond_float32_the_largest_float32(name):
    values = np.full((1, 4, 64), np.finfo(np.float32).max)
    values[0, 1:3] *= -1
    found = compute(name, values)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, reference(name, values.astype(np.float32)), rtol=1e-5, atol=1e-5)


def test_condition_number_keeps_digits_that_a_gram_matrix_loses():
    rng = np.random.default_rng(4)
    left, _ = np.linalg.qr(rng.standard_normal((500, 4)))
    right, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    for condition in (1e3, 1e5):
        values = (left * np.geomspace(1, 1 / condition, 4)) @ right.T
        index = registry.feature_names("spectral").index("condition_number")
        assert compute("spectral", values[None])[0, index] == pytest.approx(condition, rel=0.02)
        assert_matches("spectral", values[None])


def test_rank_deficient_matrices_have_no_condition_number_made_of_rounding():
    rng = np.random.default_rng(5)
    factors = rng.standard_normal((6, 300, 2)) @ rng.standard_normal((6, 2, 8))
    names = registry.feature_names("spectral")
    found = dict(zip(names, compute("spectral", factors).T, strict=True))
    assert (found["singular_value_3"] == 0).all()
    assert (found["singular_gap_2"] == 1).all()
    assert (found["condition_number"] < 100).all()


def test_rank_one_has_the_norm_as_its_only_singular_value():
    values = np.random.default_rng(6).standard_normal((3, 1, 640))
    names = registry.feature_names("spectral")
    found = dict(zip(names, compute("spectral", values).T, strict=True))
    np.testing.assert_allclose(found["singular_value_1"], np.linalg.norm(values, axis=(1, 2)), rtol=1e-6)
    for name in ("condition_number", "singular_value_1_share", "singular_gap_1"):
        assert (found[name] == 1).all()
    for name in ("singular_value_2", "singular_value_10_share", "singular_gap_2", "spectral_entropy"):
        assert (found[name] == 0).all()


def test_a_mean_of_rounding_size_counts_as_zero():
    half = np.random.default_rng(7).standard_normal((1, 1, 200)).astype(np.float32)
    nearly_opposite = -np.nextafter(half, 2 * half)
    values = np.concatenate([half, nearly_opposite], axis=2)
    assert values.astype(np.float64).mean() != 0
    index = registry.feature_names("distribution").index("std_over_absolute_mean")
    assert compute("distribution", values)[0, index] == 0
    assert_matches("distribution", values)


@pytest.mark.parametrize("limits", [(-7.3, -1.1), (0.2, 0.9), (-1.7, 2.9)], ids=str)
def test_entries_next_to_the_edges_of_bins_fall_to_the_right_side(limits):
    rng = np.random.default_rng(8)
    limits = np.array(limits, np.float32)
    edges = np.linspace(*limits.astype(np.float64), 51)[1:-1]
    nearest = edges.astype(np.float32)
    below = np.where(nearest < edges, nearest, np.nextafter(nearest, np.float32(-np.inf)))
    beside = np.concatenate([below, np.nextafter(below, np.float32(np.inf))])
    copies = [np.repeat(beside, rng.integers(0, 4, beside.size)) for _ in range(20)]
    for entries in copies:
        assert_matches("info_theoretic", np.concatenate([limits, entries])[None, None])
