"""The passport: data sets whose start, duplicates and overlaps are known."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sets import D_IN, LAYERS, make_data_set, random_factors
from lorascope.files import read_json, read_table
from lorascope.passport.duplicates import equal_updates
from lorascope.passport.metadata import as_features, sort_columns
from lorascope.passport.overlap import overlaps
from lorascope.passport.passport import write_passport
from lorascope.passport.scan import open_groups, scan
from lorascope.passport.words import overlap_words, passport_lines

N = 60
LABELS = ["cat", "dog", "ship"] * (N // 3)


def passport_of(folder, factors, labels=LABELS, **columns):
    return write_passport(*make_data_set(folder, factors, labels, **columns), folder / "passport")


def started_from(starts, noise, rank=1, seed=1):
    """Return factors whose A are the given starts, one an adapter, and some noise."""
    rng = np.random.default_rng(seed)
    factors = random_factors(N, rank)
    distinct = {layer: rng.standard_normal((max(starts) + 1, rank, D_IN)) for layer in LAYERS}
    for layer, (down, up) in factors.items():
        factors[layer] = distinct[layer][starts] + noise * down, up
    return factors


@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.parametrize(
    ("starts", "regime", "count"),
    [
        (range(N), "fresh", N),
        ([0] * N, "shared", 1),
        ([index % 5 for index in range(N)], "mixed", 5),
        # One rerun of an adapter is no regime.
        ([0, *range(N - 1)], "fresh", N - 1),
        ([1, *[0] * (N - 1)], "shared", 2),
    ],
    ids=["fresh", "shared", "five starts", "one pair", "one apart"],
)
def test_the_regime_of_starts(tmp_path, starts, regime, count, rank):
    found = passport_of(tmp_path, started_from(list(starts), 0.2, rank))["starts"]
    assert (found["regime"], found["starts"], found["adapters"]) == (regime, count, N)
    assert found["random"] == pytest.approx(np.sqrt(2 / (np.pi * D_IN)))
    if count == N:
        assert found["cosine"] == pytest.approx(found["random"], rel=0.1)
    assert found["pulled"] == (0 if regime == "fresh" or count == 5 else len(LAYERS))


def test_layers_that_training_pulled_together_are_no_shared_start(tmp_path):
    factors, rng = random_factors(N), np.random.default_rng(5)
    for layer in LAYERS[:4]:
        factors[layer] = factors[layer][0] + 4 * rng.standard_normal((1, 1, D_IN)), factors[layer][1]
    found = passport_of(tmp_path, factors)["starts"]
    assert (found["regime"], found["pulled"]) == ("fresh", 4)
    assert found["cosine"] > 2 * found["random"]


@given(scale=st.floats(1e-3, 1e3), rank=st.sampled_from([1, 3]), seed=st.integers(0, 9))
def test_a_refactored_copy_is_a_duplicate(tmp_path_factory, scale, rank, seed):
    factors = random_factors(12, rank, seed)
    gauge = np.random.default_rng(seed).standard_normal((rank, rank)) + 3 * np.eye(rank)
    for down, up in factors.values():
        down[7], up[7] = scale * gauge @ down[2], up[2] @ np.linalg.inv(gauge) / scale
        # Half as large is another update.
        down[9], up[9] = down[4], up[4] / 2
    data, _ = make_data_set(tmp_path_factory.mktemp("copy"), factors, ["x", "y"] * 6)
    assert equal_updates(scan(open_groups(data))) == [[2, 7]]


def test_rounding_to_float16_keeps_a_duplicate_and_noise_does_not(tmp_path):
    factors, rng = random_factors(N), np.random.default_rng(0)
    for down, up in factors.values():
        down[1], up[1] = down[0].astype(np.float16), up[0].astype(np.float16)
        down[3], up[3] = down[2] + 0.01 * rng.standard_normal(down[2].shape), up[2]
    split = ["train", "test", *(["train", "train", "validation", "test"] * N)[: N - 2]]
    found = passport_of(tmp_path, factors, split=split)["duplicates"]
    assert found["members"] == [["a0", "a1"]]
    assert (found["sets"], found["across_parts"], found["test_adapters"]) == (1, 1, 1)


def test_norms_are_those_of_the_products(tmp_path):
    factors = random_factors(N, 3)
    passport_of(tmp_path, factors)
    norms = read_table(tmp_path / "passport" / "norms.parquet")
    for layer, (down, up) in factors.items():
        expected = {"down": down, "up": up, "delta": up @ down}
        for side, stack in expected.items():
            np.testing.assert_allclose(
                norms[f"{layer}.{side}"].to_numpy(), np.linalg.norm(stack, axis=(1, 2)), rtol=1e-5
            )


def test_what_is_dead_is_counted(tmp_path):
    factors = random_factors(N)
    for place, (_, up) in enumerate(factors.values()):
        up[0] = 0
        if place == 3:
            up[:] = 0
    found = passport_of(tmp_path, factors)["health"]
    expected = {"non_finite": 0, "dead_updates": N + len(LAYERS) - 1, "dead_adapters": 1}
    assert found == {**expected, "dead_layers": [LAYERS[3]], "rejected": 0, "rejected_list": None}


def test_overlaps_of_images_groups_and_concepts():
    table = pa.table(
        {
            "label": ["a", "a", "b", "b"],
            "split": ["train", "test", "train", "validation"],
            "group": ["g", "h", "i", "i"],
            "images": [[1, 2], [2, 3], [4], [4]],
            "leaf": ["tern", "tern", "oak", "elm"],
        }
    )
    found = {overlap.kind: overlap for overlap in overlaps(table, ["leaf"])}
    shared = {
        kind: (each.in_train_and_validation, each.in_train_and_test, each.test_adapters)
        for kind, each in found.items()
    }
    assert shared == {"images": (1, 1, 1), "groups": (1, 0, 0), "concepts": (0, 1, 1)}
    assert "1 of 4 in both train and test" in overlap_words(vars(found["images"]))


def test_columns_are_sorted_by_what_they_tell():
    n, labels = 8, ["cat", "cat", "dog", "dog"] * 2
    table = pa.table(
        {
            "adapter": [str(index) for index in range(n)],
            "label": labels,
            "split": ["train"] * n,
            "category_label": labels,
            "category_name": ["lynx", "puma", "pug", "pug"] * 2,
            "leaf_id": [3, 4, 5, 5] * 2,
            "seed": list(range(n)),
            "steps": [50, 60] * 4,
            "rank": [1] * n,
            "step_loss": np.linspace(0, 1, n),
            "images": [[1], [1, 2]] * 4,
            "optimizer": ["adam", "sgd", "sgd", "adam"] * 2,
            "blob": [b"x"] * n,
        }
    )
    found = sort_columns(table)
    assert found.recipe == ["steps", "images", "optimizer"]
    assert (found.outcomes, found.constant, found.concepts) == (["step_loss"], {"rank": 1}, ["category_name"])
    assert set(found.unused) == {"category_label", "leaf_id", "seed", "blob"}
    features = as_features(table, found.recipe)
    assert features.shape == (n, 4)
    assert features[:, 1].tolist() == [1, 2] * 4
    assert (features[:, 2:].sum(axis=1) == 1).all()


def test_absent_numbers_are_a_feature():
    features = as_features(pa.table({"x": [1.0, None, 3.0]}), ["x"])
    assert features.tolist() == [[1, 1], [2, 0], [3, 1]]


def test_the_passport_in_words_and_as_a_file(tmp_path):
    passport = passport_of(tmp_path, random_factors(N), alpha=[8.0] * N, steps=[50, 60] * (N // 2))
    assert read_json(tmp_path / "passport" / "passport.json") == passport
    text = "\n".join(passport_lines(passport))
    for words in (
        "60 adapters, 3 classes, 12 layers, rank 1; train 42, validation 6, test 12",
        "fresh (every adapter has a random A of its own)",
        "no two adapters are the same update",
        "alpha 8",
        "all weights finite, no update of zero",
        "differs between adapters in steps",
    ):
        assert words in text
    assert sum(sum(counts.values()) for counts in passport["classes"].values()) == N


def test_a_sanity_check_has_a_passport(tmp_path):
    passport = passport_of(tmp_path, random_factors(5), labels=["x", "y", "x", "y", "x"], images=[[1]] * 5)
    assert passport["sanity"]
    assert passport["classes"]["test"] == {"x": 3, "y": 2}
    assert passport["overlaps"][0]["in_train_and_test"] == 0
