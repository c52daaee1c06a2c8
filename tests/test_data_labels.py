"""Labels and split: what a source knows of its adapters, duplicates kept in one part, refusals by column."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import published
from lorascope.data.labels import duplicate_sets, label_adapters, tie_duplicates
from lorascope.data.prepare import prepare
from lorascope.data.sources import arrow, open_source
from lorascope.data.split import PARTS, SplitSettings, split_adapters
from lorascope.files import read_json, read_table

N = 60
SPLIT = SplitSettings()


def one_layer(n_adapters=N):
    """Return the weights of one layer: labels do not depend on how many there are."""
    weights = published.make_weights(n_adapters, published.NARROW)
    return dict(list(weights.items())[:2])


@pytest.fixture
def prepared(tmp_path):
    """Return a function that prepares weights with metadata and gives the folder."""

    def run(weights=None, **columns):
        weights = one_layer() if weights is None else weights
        n_adapters = len(next(iter(weights.values())))
        metadata = {**published.make_metadata(n_adapters), **columns}
        present = {name: column for name, column in metadata.items() if column is not None}
        source = arrow.from_dataset(published.make_dataset(weights, present), "mine")
        prepare(source, "mine", "attention", tmp_path / "data")
        return tmp_path / "data"

    return run


def label(folder, label="category_label", group=None, split=SPLIT):
    manifest = label_adapters(folder, label, group, split, folder.parent / "labels")
    return read_table(folder.parent / "labels" / "adapters.parquet"), manifest


def test_the_published_columns(prepared, tmp_path):
    table, manifest = label(prepared())
    assert table.column_names[:3] == ["adapter", "label", "split"]
    metadata = published.make_metadata(N)
    assert table["label"].to_pylist() == metadata["category_label"].to_pylist()
    assert table.column_names[3:] == list(metadata)
    np.testing.assert_array_equal(
        table["split"].to_numpy(), split_adapters(table["label"].to_pylist(), None, SPLIT)
    )
    assert manifest == read_json(tmp_path / "labels" / "manifest.json")
    assert manifest["classes"] == sorted(published.CATEGORIES)
    assert manifest["split"] == {part: table["split"].to_pylist().count(part) for part in PARTS}
    assert sum(manifest["split"].values()) == N
    assert manifest["sanity"] is False
    assert manifest["duplicates"] == []
    assert manifest["digest"]


def test_labels_of_any_type_become_text(prepared):
    numbers = pa.array([row % 3 for row in range(N)], pa.int64())
    table, manifest = label(prepared(number=numbers), "number")
    assert manifest["classes"] == ["0", "1", "2"]
    assert table["label"].to_pylist() == [str(row % 3) for row in range(N)]
    assert label(prepared(coded=pa.array(["x", "y", "z"] * 20).dictionary_encode()), "coded")[1][
        "classes"
    ] == ["x", "y", "z"]


def test_groups_stay_whole(prepared):
    table, _ = label(prepared(), group="category_name")
    parts = {}
    for group, part in zip(table["group"].to_pylist(), table["split"].to_pylist(), strict=True):
        parts.setdefault(group, set()).add(part)
    assert set(map(len, parts.values())) == {1}
    assert table["group"].to_pylist() == published.make_metadata(N)["category_name"].to_pylist()


def test_columns_of_the_source_that_are_named_like_ours_give_way(prepared):
    table, _ = label(prepared(label=pa.array(["theirs"] * N), group=pa.array(["theirs"] * N)))
    assert len(set(table.column_names)) == len(table.column_names)
    assert "theirs" not in table["label"].to_pylist()
    assert "group" not in table.column_names


def test_a_split_that_the_source_brings_is_kept(prepared):
    own = [PARTS[row % 3] for row in range(N)]
    table, manifest = label(prepared(split=pa.array(own)))
    assert table["split"].to_pylist() == own
    assert manifest["split"] == dict.fromkeys(PARTS, 20)


@pytest.mark.parametrize("parts", [["train", "test", "valid"], ["train", "test", None]])
def test_a_split_of_the_source_with_other_parts_is_refused(prepared, refused, parts):
    with refused(r"mine: unknown parts of the split (valid|None); use train, validation, test"):
        label(prepared(split=pa.array(parts * 20)))


def test_a_split_of_the_source_that_lacks_a_part_is_refused(prepared, refused):
    with refused("mine: column 'split' has no adapter of validation"):
        label(prepared(split=pa.array(["train", "test"] * 30)))


def test_duplicates_are_listed_and_stay_in_one_part(prepared):
    weights = one_layer()
    for column, values in weights.items():
        weights[column] = values.copy()
        weights[column][[7, 21, 44]] = values[7]
        weights[column][[3, 50]] = values[3]
    # Equal in one matrix only: no duplicates.
    next(iter(weights.values()))[30] = next(iter(weights.values()))[31]
    folder = prepared(weights)
    for seed in range(5):
        table, manifest = label(folder, split=SplitSettings(seed))
        parts = table["split"].to_pylist()
        assert parts[7] == parts[21] == parts[44]
        assert parts[3] == parts[50]
        assert manifest["duplicates"] == [["000003", "000050"], ["000007", "000021", "000044"]]
        assert "group" not in table.column_names


def test_duplicates_across_groups_tie_the_groups(prepared):
    weights = one_layer()
    for column, values in weights.items():
        weights[column] = values.copy()
        weights[column][10] = values[0]
    folder = prepared(weights)
    table, _ = label(folder, group="category_name")
    groups, parts = table["group"].to_pylist(), table["split"].to_pylist()
    assert groups[0] != groups[10]
    assert (
        len({part for group, part in zip(groups, parts, strict=True) if group in (groups[0], groups[10])})
        == 1
    )


@given(st.lists(st.integers(0, 8), min_size=1, max_size=30))
def test_duplicate_sets_are_the_rows_of_equal_fingerprints(values):
    found = duplicate_sets(np.array(values, np.uint64))
    assert all(len(members) > 1 for members in found)
    together = {row: number for number, members in enumerate(found) for row in members}
    for one in range(len(values)):
        for other in range(one):
            same = one in together and together.get(one) == together.get(other)
            assert same == (values[one] == values[other])


@given(st.data())
def test_tied_groups_are_the_connected_ones(data):
    groups = data.draw(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=12))
    rows = st.integers(0, len(groups) - 1)
    duplicates = data.draw(st.lists(st.lists(rows, min_size=2, max_size=3, unique=True), max_size=4))
    tied = tie_duplicates(groups, duplicates)
    assert len(tied) == len(groups)
    # An independent reference: labels spread until nothing changes.
    reach = list(range(len(groups)))
    for _ in groups:
        for members in [
            *duplicates,
            *([i for i, g in enumerate(groups) if g == name] for name in set(groups)),
        ]:
            least = min(reach[member] for member in members)
            for member in members:
                reach[member] = least
    for one in range(len(groups)):
        for other in range(one):
            assert (tied[one] == tied[other]) == (reach[one] == reach[other])


def test_ten_adapters_are_a_sanity_check(prepared, tmp_path):
    prepare(open_source({"source": "sanity"}), "sanity", "attention", tmp_path / "data")
    table, manifest = label(tmp_path / "data", "label")
    assert set(table["split"].to_pylist()) == {"all"}
    assert manifest["sanity"] is True
    assert manifest["split"] == dict.fromkeys(PARTS, 5)


@pytest.mark.parametrize("role", ["label", "group"])
def test_a_missing_column_is_refused_with_what_there_is(prepared, refused, role):
    folder = prepared()
    with refused(rf"mine: no {role} column 'leaf'; there are: adapter, category_label, .*, step_loss$"):
        label(folder, **{role: "leaf"})


@pytest.mark.parametrize("role", ["label", "group"])
def test_empty_values_are_refused(prepared, refused, role):
    values = pa.array(["x", "y", None, "x", None, "y"] * 10)
    with refused(rf"mine: {role} column 'mine' is empty in 20 rows, first in row 2"):
        label(prepared(mine=values), **{role: "mine"})


def test_absent_numbers_are_empty_too(prepared, refused):
    numbers = pa.array([1.0, 2.0, float("nan")] * 20)
    with refused(r"mine: label column 'number' is empty in 20 rows, first in row 2"):
        label(prepared(number=numbers), "number")


def test_a_split_of_the_source_that_trains_on_some_classes_only_is_refused(prepared, refused):
    classes = published.make_metadata(N)["category_label"].to_pylist()
    parts = ["test" if name == "cat" else PARTS[row // 20] for row, name in enumerate(classes)]
    with refused("mine: column 'split' has no training adapter of cat; move some there"):
        label(prepared(split=pa.array(parts)))


def test_adapters_without_any_update_are_no_duplicates(prepared):
    """One in every group: as a set of duplicates they would tie all groups, and no split were left."""
    weights = {column: values.copy() for column, values in one_layer().items()}
    for values in weights.values():
        values[::5] = 0
    table, manifest = label(prepared(weights), group="category_name")
    assert manifest["duplicates"] == []
    assert set(table["split"].to_pylist()) == set(PARTS)


def test_one_class_is_refused(prepared, refused):
    with refused(r"mine: only one class \('cat'\)"):
        label(prepared(category_label=pa.array(["cat"] * N)))


def test_a_class_with_one_member_is_refused(prepared, refused):
    with refused(r"mine: too few adapters of 'fox' \(1\); a class needs 3"):
        label(prepared(category_label=pa.array(["cat", "dog"] * 29 + ["cat", "fox"])))


def test_groups_that_cannot_be_parted_are_refused_by_name(prepared, refused):
    with refused("split: the .* part has no adapter of .*: choose a finer group column"):
        label(prepared(), group="batch_size")


def test_a_folder_that_was_not_prepared_is_refused(refused, tmp_path):
    with refused("source.parquet: no such file"):
        label(tmp_path / "absent")
