"""The split: shares, strata, groups and duplicates kept whole, and refusals of what cannot be split."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

import published
from lorascope.data.split import ALL, PARTS, SANITY_ADAPTERS, SplitSettings, check_classes, split_adapters
from lorascope.errors import LorascopeError

DEFAULT = SplitSettings()
CLASS_SIZES = st.lists(st.integers(3, 60), min_size=2, max_size=6).filter(
    lambda sizes: sum(sizes) > SANITY_ADAPTERS
)
SHARES = st.sampled_from(
    [(0.7, 0.1, 0.2), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.05, 0.9, 0.05), (0.5, 0.25, 0.25)]
)


def labels_of(sizes, seed=0):
    labels = np.repeat([f"class-{i}" for i in range(len(sizes))], sizes)
    return np.random.default_rng(seed).permutation(labels).tolist()


def parts_of_groups(groups, parts):
    """Return in how many parts a group is at the most."""
    return max(Counter(group for group, _ in set(zip(groups, parts, strict=True))).values())


def counts(labels, parts):
    """Return label → count per part, in the order of PARTS."""
    table = Counter(zip(labels, parts, strict=True))
    return {label: [table[label, part] for part in PARTS] for label in sorted(set(labels))}


def test_the_published_thousand():
    labels = [published.CATEGORIES[row % 10] for row in range(1000)]
    parts = split_adapters(labels, None, DEFAULT)
    assert set(map(tuple, counts(labels, parts).values())) == {(70, 10, 20)}


def test_shares_are_those_of_scikit_learns_stratified_split():
    labels = labels_of([13, 17, 8, 62])
    ours = Counter(split_adapters(labels, None, DEFAULT).tolist())
    train, rest = train_test_split(labels, train_size=0.7, stratify=labels, random_state=0)
    validation, test = train_test_split(rest, train_size=1 / 3, stratify=rest, random_state=0)
    assert [ours[part] for part in PARTS] == [len(train), len(validation), len(test)]
    for label, (in_train, _, in_test) in counts(labels, split_adapters(labels, None, DEFAULT)).items():
        assert abs(in_train - train.count(label)) <= 1
        assert abs(in_test - test.count(label)) <= 1


@given(CLASS_SIZES, SHARES, st.integers(0, 2**31))
def test_each_class_has_its_share_of_each_part(sizes, shares, seed):
    labels = labels_of(sizes)
    parts = split_adapters(labels, None, SplitSettings(seed, *shares))
    assert set(parts) <= set(PARTS)
    for label, of_parts in counts(labels, parts).items():
        wanted = np.array(shares) * labels.count(label)
        assert min(of_parts) >= 1
        # One for rounding, one carried over from the classes before, two where small parts get their one.
        assert np.abs(np.array(of_parts) - wanted).max() < (2 if wanted.min() >= 2 else 4)


@given(st.lists(st.integers(30, 80), min_size=2, max_size=6), SHARES, st.integers(0, 2**31))
def test_rounding_errors_do_not_add_up_over_classes(sizes, shares, seed):
    parts = split_adapters(labels_of(sizes), None, SplitSettings(seed, *shares))
    found = np.array([(parts == part).sum() for part in PARTS])
    assert np.abs(found - np.array(shares) * sum(sizes)).max() < 1


def test_many_tiny_classes_leave_a_large_one_its_shares():
    labels = [f"tiny-{i // 3:02d}" for i in range(60)] + ["z-large"] * 100
    assert counts(labels, split_adapters(labels, None, DEFAULT))["z-large"] == pytest.approx(
        [70, 10, 20], abs=2
    )


def test_the_seed_fixes_the_draw_and_nothing_else_does():
    labels = labels_of([40, 40, 40])
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what must not matter
    first = split_adapters(labels, None, DEFAULT)
    np.random.default_rng().random(10)
    np.testing.assert_array_equal(split_adapters(labels, None, DEFAULT), first)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert (split_adapters(labels, None, SplitSettings(seed=43)) != first).any()


def test_members_are_drawn_and_not_taken_in_order():
    labels = ["a"] * 100 + ["b"] * 100
    parts = split_adapters(labels, None, DEFAULT)
    assert len(set(parts[:70])) == 3


@given(st.data(), st.integers(0, 2**31))
def test_no_group_is_in_two_parts(data, seed):
    n_groups = data.draw(st.integers(3, 30))
    # Groups may hold adapters of several classes, as images of several concepts do.
    members = data.draw(
        st.lists(st.tuples(st.integers(0, n_groups - 1), st.sampled_from("ab")), min_size=11, max_size=80)
    )
    groups, labels = [str(group) for group, _ in members], [label for _, label in members]
    assume(min(Counter(labels).values()) >= 3)
    assume(len(set(labels)) == 2)
    try:
        parts = split_adapters(labels, groups, SplitSettings(seed))
    except LorascopeError:
        return  # not every draw can be split; that the common ones are is tested below
    assert parts_of_groups(groups, parts) == 1
    assert all(min(of_parts) >= 1 for of_parts in counts(labels, parts).values())


@given(
    st.lists(st.lists(st.integers(1, 20), min_size=3, max_size=8), min_size=2, max_size=5), st.integers(0, 99)
)
def test_three_groups_a_class_are_always_enough(sizes, seed):
    assume(sum(map(sum, sizes)) > SANITY_ADAPTERS)
    members = [
        (name, group)
        for name, of_class in enumerate(sizes)
        for group, n in enumerate(of_class)
        for _ in range(n)
    ]
    labels, groups = [f"class-{name}" for name, _ in members], [f"{name}/{group}" for name, group in members]
    parts = split_adapters(labels, groups, SplitSettings(seed))
    assert parts_of_groups(groups, parts) == 1
    assert all(min(of_parts) >= 1 for of_parts in counts(labels, parts).values())


@pytest.mark.parametrize(
    ("leaves", "shares"),
    [(3, (1 / 3, 1 / 3, 1 / 3)), (5, (0.6, 0.2, 0.2)), (10, (0.7, 0.1, 0.2)), (25, (0.7, 0.1, 0.2))],
)
def test_groups_of_the_published_kind_keep_shares_and_classes(leaves, shares):
    metadata = published.make_metadata(500, leaves)
    labels, groups = metadata["category_label"].to_pylist(), metadata["category_name"].to_pylist()
    parts = split_adapters(labels, groups, DEFAULT)
    assert parts_of_groups(groups, parts) == 1
    for of_parts in counts(labels, parts).values():
        np.testing.assert_allclose(np.array(of_parts) / 50, shares, atol=0.041)


def test_groups_of_one_are_no_groups():
    labels = labels_of([20, 20])
    alone = [str(i) for i in range(40)]
    np.testing.assert_array_equal(
        split_adapters(labels, alone, DEFAULT), split_adapters(labels, None, DEFAULT)
    )


def test_small_classes_can_be_split_by_group():
    labels = [name for name in "abcd" for _ in range(3)]
    groups = [f"{label}{i % 3}" for i, label in enumerate(labels)]
    groups[1] = groups[0] = "a0"  # else every group has one member
    labels, groups = [*labels, "a"], [*groups, "a3"]
    parts = split_adapters(labels, groups, DEFAULT)
    assert parts[0] == parts[1]
    assert all(min(of_parts) >= 1 for of_parts in counts(labels, parts).values())


@pytest.mark.parametrize("groups", [["x", "y"] * 10, ["x"] * 10 + [str(i) for i in range(10)]])
def test_a_class_in_too_few_groups_is_refused(refused, groups):
    labels = ["cat"] * 10 + ["dog"] * 10
    with refused(r"split: the \w+ part has no adapter of cat.*; a class needs three groups"):
        split_adapters(labels, groups, DEFAULT)


@pytest.mark.parametrize(("n_adapters", "parts"), [(2, {ALL}), (10, {ALL}), (11, set(PARTS))])
def test_up_to_ten_adapters_are_all_in_all_parts(n_adapters, parts):
    assert set(split_adapters(["a", "b"] * 5 + ["a"], None, DEFAULT)[:n_adapters]) <= set(PARTS)
    assert set(split_adapters((["a", "b"] * 6)[:n_adapters], None, DEFAULT)) == parts


def test_classes_are_sorted():
    assert check_classes(["b", "a", "b", "c"], "here") == ["a", "b", "c"]


def test_one_class_is_refused(refused):
    with refused(r"here: only one class \('cat'\); a probe needs at least two"):
        check_classes(["cat"] * 20, "here")


def test_classes_too_small_are_listed(refused):
    labels = ["cat"] * 20 + ["dog"] * 2 + ["fox"]
    with refused(r"here: too few adapters of 'dog' \(2\), 'fox' \(1\); a class needs 3"):
        check_classes(labels, "here")
    assert check_classes(labels[-10:], "a sanity set is not split") == ["cat", "dog", "fox"]


@pytest.mark.parametrize("shares", [(0.7, 0.2, 0.2), (0.5, 0.1, 0.1), (1, 1, 1)])
def test_shares_that_do_not_add_up_are_refused(refused, shares):
    with refused(r"split: shares add up to [\d.]+, not 1"):
        SplitSettings(42, *shares)
