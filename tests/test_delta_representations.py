"""Each layer representation against its definition on the dense ΔW."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from sklearn.decomposition import PCA

from layered import D_IN, D_OUT, RANKS, dense, feature_dict, fitted_to, random_factors
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.registry import load_layer, of_layers
from lorascope.features.update_kernel import cosine_kernel


def unit(updates):
    """Return ΔW / ‖ΔW‖, 0 where ΔW is 0."""
    norms = np.linalg.norm(updates, axis=(1, 2), keepdims=True)
    return np.divide(updates, norms, out=np.zeros_like(updates), where=norms > 0)


def projectors(factors):
    """Return the projectors on column space and row space of the dense ΔW."""
    updates = dense(factors)
    inverses = np.linalg.pinv(updates, rcond=1e-10)
    return updates @ inverses, inverses @ updates


@pytest.mark.parametrize("rank", RANKS)
def test_spectrum(rank):
    factors = random_factors(rank)
    found = feature_dict("delta_spectrum", factors, None)
    for adapter, update in enumerate(dense(factors)):
        values = np.linalg.svd(update, compute_uv=False)[:rank]
        expected = reference_spectrum(values, np.linalg.norm(update), rank)
        for name, value in expected.items():
            assert found[name][adapter] == pytest.approx(value, rel=1e-6, abs=1e-6), (name, adapter)
        assert expected.keys() == found.keys()


def reference_spectrum(values, norm, rank):
    floors = [max(value, values[0] * 2.0**-20, 1e-12) for value in values]
    expected = {f"log_sigma_{i + 1}": np.log(value) for i, value in enumerate(floors)}
    if rank == 1:
        return expected
    zero = values[0] < 1e-12
    share = np.full(rank, 1 / rank) if zero else values**2 / np.sum(values**2)
    logarithms = np.log(share, where=share > 1e-15, out=np.zeros(rank))
    expected |= {
        "log_norm": np.log(max(norm, 1e-12)),
        "stable_rank": 1 / share[0],
        "effective_rank": np.exp(-np.sum(share * logarithms)),
        "top_energy": share[0],
        "participation": 1 / np.sum(share**2),
    }
    expected |= {f"gap_{i + 1}": (values[i] - values[i + 1]) / (values[0] or 1) for i in range(rank - 1)}
    if zero:
        expected |= {name: 0.0 for name in expected if not name.startswith("log")}
    return expected


def test_spectrum_of_equal_singular_values():
    down, up = np.eye(4, 9, dtype=np.float32)[None], 3 * np.eye(8, 4, dtype=np.float32)[None]
    found = feature_dict("delta_spectrum", LayerFactors(down, up), None)
    for name in ("stable_rank", "effective_rank", "participation"):
        assert found[name] == pytest.approx(4)
    assert found["gap_1"] == 0
    assert found["log_norm"] == pytest.approx(np.log(6))


def test_a_single_singular_value_is_the_only_feature():
    assert load_layer("delta_spectrum").names(5, 7, 1) == ("log_sigma_1",)
    assert load_layer("delta_spectrum").names(1, 7, 4) == ("log_sigma_1",)


@pytest.mark.parametrize("rank", RANKS)
def test_projector(rank):
    factors = random_factors(rank)
    found = feature_dict("delta_projector", factors, None)
    left, right = projectors(factors)
    expected = np.hstack([np.einsum("nii->ni", left), np.einsum("nii->ni", right)])
    np.testing.assert_allclose(np.array(list(found.values())).T, expected, atol=1e-6)


def reference_axes(updates, count=16):
    """Return the leading eigenvectors of the mean of ΔW ΔWᵀ / ‖ΔW‖² and of its transpose."""
    scaled = unit(updates)
    moments = np.einsum("nij,nkj->ik", scaled, scaled), np.einsum("nij,nik->jk", scaled, scaled)
    return [np.linalg.eigh(moment)[1][:, ::-1][:, :count] for moment in moments]


@pytest.mark.parametrize("rank", RANKS)
def test_axes_are_the_leading_directions_of_the_training_part(rank):
    factors = random_factors(rank, n=40)
    fitted = fitted_to("delta_gram", factors)
    for found, expected in zip(
        (fitted["left"], fitted["right"]), reference_axes(dense(factors)), strict=True
    ):
        np.testing.assert_allclose(np.abs(np.sum(found * expected, axis=0)), 1, atol=1e-8)
        assert (np.take_along_axis(found, np.abs(found).argmax(axis=0)[None], axis=0) > 0).all()


@pytest.mark.parametrize("rank", RANKS)
def test_gram(rank):
    factors = random_factors(rank, n=40)
    fitted = fitted_to("delta_gram", factors)
    found = feature_dict("delta_gram", factors, fitted)
    assert len(found) == 2 * 16 * 17 / 2
    for side, projector in zip(("left", "right"), projectors(factors), strict=True):
        seen = fitted[side].T @ projector @ fitted[side]
        for i, j in combinations_with_replacement(range(16), 2):
            np.testing.assert_allclose(found[f"{side}_{i + 1}_{j + 1}"], seen[:, i, j], atol=1e-6)


@pytest.mark.parametrize("rank", RANKS)
def test_bilinear(rank):
    factors = random_factors(rank, n=40)
    fitted = fitted_to("delta_bilinear", factors)
    found = feature_dict("delta_bilinear", factors, fitted)
    expected = fitted["left"].T @ unit(dense(factors)) @ fitted["right"]
    for i, j in np.ndindex(16, 16):
        np.testing.assert_allclose(found[f"entry_{i + 1}_{j + 1}"], expected[:, i, j], atol=1e-6)


def test_axes_of_a_narrow_layer_are_as_many_as_it_has():
    factors = random_factors(2, d_out=5, d_in=40)
    fitted = fitted_to("delta_bilinear", factors)
    assert (fitted["left"].shape, fitted["right"].shape) == ((5, 5), (40, 16))
    assert len(feature_dict("delta_bilinear", factors, fitted)) == 5 * 16
    assert len(feature_dict("delta_gram", factors, fitted)) == 5 * 6 / 2 + 16 * 17 / 2


def test_axes_that_no_adapter_has_are_zero():
    factors = random_factors(1, n=4, d_out=30, d_in=30)  # one of the four is zero
    fitted = fitted_to("delta_gram", factors)
    assert (np.linalg.norm(fitted["left"], axis=0) > 0.5).tolist() == [True] * 3 + [False] * 13


@pytest.mark.parametrize("rank", RANKS)
def test_sketches_estimate_dot_products(rank):
    factors = random_factors(rank, n=200, d_out=60, d_in=50)
    found = np.array(list(feature_dict("delta_sketch", factors, None).values())).T
    exact = unit(dense(factors)).reshape(200, -1)
    error = found @ found.T - exact @ exact.T
    # A product of two Gaussian projections to 16 dimensions: variance of about 1/16 + 1/16 + 1/256 at most.
    assert abs(error.mean()) < 0.03
    assert 0.02 < error.std() < 0.2


def test_sketches_of_equal_shapes_use_the_same_directions():
    factors = random_factors(2)
    whole = load_layer("delta_sketch").compute(factors)
    one = LayerFactors(factors.down[:1], factors.up[:1])
    assert np.array_equal(load_layer("delta_sketch").compute(one), whole[:1])


@pytest.mark.parametrize("rank", RANKS)
def test_the_kernel_is_the_cosine_between_dense_updates(rank):
    factors, others = random_factors(rank), random_factors(rank, n=7, seed=1)
    flat = [unit(dense(x)).reshape(len(x), -1) for x in (factors, others)]
    np.testing.assert_allclose(cosine_kernel(factors, others), flat[0] @ flat[1].T, atol=1e-12)


@pytest.mark.parametrize("rank", RANKS)
def test_kernel_features_reproduce_the_kernel_between_landmarks_and_all(rank):
    landmarks, others = random_factors(rank, n=40), random_factors(rank, n=9, seed=1)
    fitted = fitted_to("delta_kernel", landmarks)
    compute = load_layer("delta_kernel").compute
    of_landmarks, of_others = (compute(x, fitted).astype(np.float64) for x in (landmarks, others))
    assert len(feature_dict("delta_kernel", others, fitted)) == 40
    exact = cosine_kernel(landmarks, landmarks)
    np.testing.assert_allclose(of_landmarks @ of_landmarks.T, exact, atol=2e-6)
    np.testing.assert_allclose(of_others @ of_landmarks.T, cosine_kernel(others, landmarks), atol=2e-6)


def test_landmarks_that_differ_by_rounding_span_no_direction_of_their_own():
    landmarks, others = random_factors(2, n=20), random_factors(2, n=9, seed=1)
    noise = np.random.default_rng(0).standard_normal(landmarks.up.shape)
    almost = (landmarks.up * (1 + 1e-7 * noise)).astype(np.float32)
    twice = LayerFactors(np.vstack([landmarks.down] * 2), np.vstack([landmarks.up, almost]))
    found, expected = (
        np.linalg.norm(load_layer("delta_kernel").compute(others, fitted_to("delta_kernel", some)), axis=1)
        for some in (twice, landmarks)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_small_differences_between_landmarks_are_not_lost():
    factors, same = random_factors(1, n=60), random_factors(1, n=1, seed=2)
    similar = LayerFactors(
        same.down + np.float32(0.003) * factors.down, same.up + np.float32(0.003) * factors.up
    )
    features = load_layer("delta_kernel").compute(similar, fitted_to("delta_kernel", similar))
    exact = cosine_kernel(similar, similar)
    assert 0 < np.median(1 - exact) < 2e-4
    np.testing.assert_allclose(features.astype(np.float64) @ features.T, exact, atol=2e-6)


@pytest.mark.parametrize("rank", RANKS)
def test_canonical_vectors_point_along_the_leading_pair_of_the_mean(rank):
    factors = random_factors(rank, n=40)
    fitted = fitted_to("canonical", factors)
    left, _, right = np.linalg.svd(unit(dense(factors)).mean(axis=0))
    agreement = np.array([left[:, 0] @ fitted["left"], right[0] @ fitted["right"]])
    np.testing.assert_allclose(np.abs(agreement), 1, atol=1e-8)
    assert agreement[0] * agreement[1] > 0
    found = np.array(list(feature_dict("canonical", factors, fitted).values())).T
    u, v, log_sigma = found[:, :D_OUT], found[:, D_OUT:-1], found[:, -1]
    assert (u @ fitted["left"] + v @ fitted["right"] >= 0).all()
    np.testing.assert_allclose(np.abs(np.sum(u * factors.U[:, :, 0], axis=1)), factors.S[:, 0] > 0, atol=1e-6)
    np.testing.assert_allclose(
        np.einsum("ni,nij,nj->n", u, dense(factors), v), factors.S[:, 0], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(log_sigma, np.log(np.maximum(factors.S[:, 0], 1e-12)), rtol=1e-6)


def test_the_leading_pair_is_close_where_the_mean_has_too_high_a_rank_for_one_pass():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(150), rng.standard_normal(140)
    down, up = rng.standard_normal((500, 1, 140)), rng.standard_normal((500, 150, 1))
    down += 0.5 * shared[1]
    up += 0.5 * shared[0][:, None]
    factors = LayerFactors(down.astype(np.float32), up.astype(np.float32))
    fitted = fitted_to("canonical", factors)
    left, _, right = np.linalg.svd(unit(dense(factors)).mean(axis=0))
    assert abs(left[:, 0] @ fitted["left"]) > 0.98
    assert abs(right[0] @ fitted["right"]) > 0.98


@pytest.mark.parametrize("rank", [1, 3])
def test_flat_is_every_entry(rank):
    factors = random_factors(rank)
    found = feature_dict("flat", factors, None)
    assert len(found) == rank * (D_IN + D_OUT)
    assert np.array_equal(found[f"down_{rank}_2"], factors.down[:, rank - 1, 1])
    assert np.array_equal(found[f"up_3_{rank}"], factors.up[:, 2, rank - 1])


@pytest.mark.parametrize("n", [10, 60])
def test_pca_is_that_of_the_flattened_factors(n):
    factors, others = random_factors(2, n=n), random_factors(2, n=5, seed=1)
    entries, fresh = (
        np.hstack([x.down.reshape(len(x), -1), x.up.reshape(len(x), -1)]).astype(np.float64)
        for x in (factors, others)
    )
    fitted = fitted_to("pca", factors)
    reference = PCA(n_components=min(16, n - 1), svd_solver="full").fit(entries)
    found = np.array(list(feature_dict("pca", others, fitted).values())).T
    expected = reference.transform(fresh) / np.sqrt(entries.var(axis=0).sum())
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6)


def test_pca_of_equal_adapters_and_of_another_rank(refused):
    one = random_factors(2, n=1)
    same = LayerFactors(np.tile(one.down, (4, 1, 1)), np.tile(one.up, (4, 1, 1)))
    fitted = fitted_to("pca", same)
    assert not load_layer("pca").compute(same, fitted).any()
    with refused("fitted to 74 entries a layer, not 111"):
        load_layer("pca").compute(random_factors(3), fitted)


@pytest.mark.parametrize("name", [name for name in of_layers() if name not in ("flat", "pca")])
def test_an_update_of_zero_has_features_of_zero_but_for_logarithms(name):
    factors = random_factors(4)
    for feature, values in feature_dict(name, factors, fitted_to(name, factors)).items():
        assert values[3] == pytest.approx(np.log(1e-12) if feature.startswith("log") else 0)


@pytest.mark.parametrize("name", [name for name in of_layers() if name != "delta_kernel"])
def test_each_adapter_is_on_its_own(name):
    factors = random_factors(3)
    fitted = fitted_to(name, factors)
    together = load_layer(name).compute(factors, fitted)
    for row in range(len(factors)):
        one = LayerFactors(factors.down[row : row + 1], factors.up[row : row + 1])
        np.testing.assert_allclose(load_layer(name).compute(one, fitted)[0], together[row], atol=1e-6)
