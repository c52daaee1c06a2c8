import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from lorascope.probes.scaling import COLUMNS_AT_ONCE, Scaling


@pytest.mark.parametrize("features", [3, COLUMNS_AT_ONCE + 1])
def test_equals_scikit_learn(features):
    rng = np.random.default_rng(0)
    train = rng.normal(5, 3, (50, features)).astype(np.float32)
    test = rng.normal(5, 3, (20, features)).astype(np.float32)
    reference = StandardScaler().fit(train.astype(np.float64))
    scaled = Scaling.fit(train).apply(test)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, reference.transform(test.astype(np.float64)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-12, 1.0, 1234.567, 1e30, -1e-30])
def test_constant_features_become_zero_even_where_rounding_gives_them_a_spread(level):
    train = np.full((1001, 2), level, np.float32)
    other = np.full((3, 2), level + 1, np.float32)
    assert (Scaling.fit(train).apply(other) == 0).all()


def test_tiny_features_are_features():
    train = 1e-20 * np.random.default_rng(0).standard_normal((100, 1)).astype(np.float32)
    scaled = Scaling.fit(train).apply(train)
    assert scaled.std() == pytest.approx(1, rel=1e-4)


def test_the_features_of_a_layer_keep_their_proportions():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(50, 5)) * [1, 3, 10, 0, 2] + 7).astype(np.float32)
    layers = ["a", "a", "b", "b", "b"]
    scaled = Scaling.fit(features, layers).apply(features)
    variance = features.astype(float).var(axis=0)
    mean_variance = np.repeat([variance[:2].mean(), variance[[2, 4]].mean()], [2, 3])
    np.testing.assert_allclose(scaled.var(axis=0), variance / mean_variance, rtol=1e-4)
    assert (scaled[:, 3] == 0).all()
