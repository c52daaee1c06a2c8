"""`prepare`: every group's file holds the numbers of the source, whole or not at all."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

import published
from lorascope.adapters.layer_sets import GROUPINGS, group_of, groups_of
from lorascope.adapters.names import parse_matrix_name
from lorascope.data.prepare import FINGERPRINT, adapter_fingerprints, prepare
from lorascope.data.sources import arrow, open_source
from lorascope.data.weights import GroupWeights
from lorascope.files import read_json, read_table

N = 40


@pytest.fixture(scope="module")
def weights():
    """Two blocks: self- and cross-attention, layers of different widths."""
    return dict(list(published.make_weights(N, published.NARROW).items())[:24])


@pytest.fixture(scope="module")
def source(weights):
    return arrow.from_dataset(published.make_dataset(weights).shuffle(seed=3), "mine")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    # Not a divisor of N: the last batch is shorter.
    monkeypatch.setattr(arrow, "BATCH_ROWS", 16)


def damaged(weights, column, row, value):
    """Return a source in which one entry has another value."""
    copy = {**weights, column: weights[column].copy()}
    copy[column][row].flat[-1] = value
    return arrow.from_dataset(published.make_dataset(copy), "mine")


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_every_group_holds_its_matrices(grouping, tmp_path):
    weights = published.make_weights(N, published.NARROW)
    source = arrow.from_dataset(published.make_dataset(weights).shuffle(seed=3), "mine")
    description = prepare(source, "mine", grouping, tmp_path, {"key": "0123456789"})
    rows = source.adapters["leaf_id"].to_pylist()
    layers = [parse_matrix_name(column)[0] for column in weights]
    seen = []
    for group in groups_of(layers, grouping):
        opened = GroupWeights.open(tmp_path, group)
        assert opened.n_adapters == N
        for index, matrix in enumerate(opened.matrices):
            assert group_of(matrix.layer, grouping) == group
            np.testing.assert_array_equal(opened.read(index, 0, N), weights[matrix.column][rows])
            np.testing.assert_array_equal(opened.read(index, 15, 18), weights[matrix.column][rows[15:18]])
            seen.append(matrix.column)
    assert sorted(seen) == sorted(weights)
    assert sorted(path.stem for path in (tmp_path / "weights").iterdir()) == sorted(
        groups_of(layers, grouping)
    )
    assert description == read_json(tmp_path / "source.json")
    assert description["key"] == "0123456789"


def test_the_description_counts(source, weights, tmp_path):
    description = prepare(source, "mine", "attention", tmp_path)
    assert {name: description[name] for name in ("dataset", "adapters", "matrices", "layers", "ranks")} == {
        "dataset": "mine",
        "adapters": N,
        "matrices": 24,
        "layers": 12,
        "ranks": [1],
    }
    assert description["parameters"] == sum(values[0].size for values in weights.values())
    table = read_table(tmp_path / "source.parquet")
    assert table.drop_columns([FINGERPRINT]).equals(source.adapters)


def test_reading_is_a_view_of_the_file(source, tmp_path):
    prepare(source, "mine", "attention", tmp_path)
    opened = GroupWeights.open(tmp_path, "attn1")
    view = opened.read(3, 2, 30)
    assert np.shares_memory(view, opened.read(3, 0, 31))
    assert not view.flags.writeable


def test_digests_are_those_of_the_weights_whatever_the_batches(source, weights, tmp_path, monkeypatch):
    one = prepare(source, "mine", "attention", tmp_path / "one")
    monkeypatch.setattr(arrow, "BATCH_ROWS", 7)
    other = prepare(source, "mine", "layer", tmp_path / "other")
    assert one["digest"] == other["digest"]
    rows = source.adapters["leaf_id"].to_pylist()
    for entry in read_table(tmp_path / "other" / "layers.parquet").to_pylist():
        content = weights[entry["column"]][rows].tobytes()
        assert entry["digest"] == xxhash.xxh3_128(content).hexdigest()


def test_one_changed_entry_changes_the_digest(source, weights, tmp_path):
    whole = arrow.from_dataset(published.make_dataset(weights), "mine")
    column = list(weights)[17]
    before = prepare(whole, "mine", "attention", tmp_path / "one")["digest"]
    after = prepare(damaged(weights, column, 31, 1.0), "mine", "attention", tmp_path / "other")["digest"]
    assert before != after


def test_the_same_source_gives_the_same_bytes(source, tmp_path):
    for name in ("one", "other"):
        prepare(source, "mine", "block", tmp_path / name)
    files = sorted(
        path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()
    )
    assert len(files) == 4 + 4
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


@pytest.mark.parametrize(
    ("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinite value"), (-np.inf, "infinite value")]
)
@pytest.mark.parametrize("row", [0, 15, 16, 39])
def test_weights_that_are_not_finite_are_refused(weights, refused, tmp_path, value, kind, row):
    column = list(weights)[20]
    with refused(rf"^mine: row {row}: column '{column}' has an? {kind}; remove or repair the adapter"):
        prepare(damaged(weights, column, row, value), "mine", "attention", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_shape_that_changes_between_batches_is_refused(weights, refused, tmp_path):
    column = list(weights)[1]
    halves = [
        published.make_dataset({name: values[part] for name, values in weights.items()})
        for part in (slice(16), slice(16, N))
    ]
    grown = halves[1].data.table
    longer = pa.array([[*matrix, [0.0]] for matrix in halves[1][column][:]], pa.list_(pa.list_(pa.float32())))
    tables = [
        pa.table(
            {name: data[name].combine_chunks().storage for name in (column.replace("up", "down"), column)}
        )
        for data in (halves[0].data, grown)
    ]
    tables[1] = tables[1].set_column(1, column, longer)
    for number, table in enumerate(tables):
        pa.parquet.write_table(table, tmp_path / f"{number}.parquet")
    settings = {"source": "disk", "path": str(tmp_path), "hub_split": "train"}
    reason = rf"column '{column}' is \(4, 1\) where most adapters have \(3, 1\)"
    with refused(
        rf"mine: 24 of 40 rows rejected, more than max_rejected \(0.5\) allows; the first: 16: {reason}"
    ):
        prepare(open_source(settings), "mine", "attention", tmp_path / "out", max_rejected=0.5)


def test_a_batch_without_any_usable_row_moves_no_other(weights, tmp_path):
    column = next(iter(weights))
    copy = {**weights, column: weights[column].copy()}
    copy[column][16:32] = np.inf
    kept = [*range(16), *range(32, N)]
    source = arrow.from_dataset(published.make_dataset(copy), "mine")
    found = prepare(source, "mine", "attention", tmp_path / "data", max_rejected=0.5)
    whole = arrow.from_dataset(published.make_dataset(weights).select(kept), "mine")
    assert found["digest"] == prepare(whole, "mine", "attention", tmp_path / "whole")["digest"]
    ids = read_table(tmp_path / "data" / "source.parquet", ["adapter"])["adapter"].to_pylist()
    assert ids == [f"{row:06d}" for row in kept]


def test_rows_that_cannot_be_used_are_left_out_and_listed(weights, tmp_path, refused):
    """In the first row, in the middle of a batch, and a whole batch; by all that can be wrong with one."""
    column = list(weights)[1]
    other = list(weights)[4]
    rows = published.make_dataset(weights).data.table.to_pydict()
    rows[column][0] = None
    rows[other][5] = [*rows[other][5][:-1], [None] * len(rows[other][5][-1])]
    rows[column][17] = [*rows[column][17], [0.0]]
    rows[other][20][0][0] = float("inf")
    rows[column][20] = [[float("nan")]]
    bad = {
        "0": f"column '{column}' is empty",
        "5": f"column '{other}' has empty entries",
        "17": f"column '{column}' is (4, 1) where most adapters have (3, 1)",
        "20": f"column '{column}' is (1, 1) where most adapters have (3, 1)",
    }
    kept = [row for row in range(N) if str(row) not in bad]
    types = {name: pa.list_(pa.list_(pa.float32())) for name in weights}
    table = pa.table({name: pa.array(values, types.get(name)) for name, values in rows.items()})
    (tmp_path / "set").mkdir()
    pa.parquet.write_table(table, tmp_path / "set" / "all.parquet")
    source = open_source({"source": "disk", "path": str(tmp_path / "set"), "hub_split": "train"})
    with refused(
        r"mine: 4 of 40 rows rejected, more than max_rejected \(0.09\) allows; the first: 0: column"
    ):
        prepare(source, "mine", "attention", tmp_path / "refused", max_rejected=0.09)
    described = prepare(source, "mine", "attention", tmp_path / "data", max_rejected=0.1)
    assert described["source"] == {"path": str(tmp_path / "set"), "rows": N, "rejected": 4}
    for folder in ("data", "refused"):
        listed = pa.csv.read_csv(
            tmp_path / folder / "rejected.csv",
            convert_options=pa.csv.ConvertOptions(column_types={"row": "string"}),
        )
        assert dict(zip(*listed.to_pydict().values(), strict=True)) == bad
    assert not list((tmp_path / "refused").rglob("*.npy"))
    whole = arrow.from_dataset(published.make_dataset(weights).select(kept), "mine")
    expected = prepare(whole, "mine", "attention", tmp_path / "whole")
    assert (described["digest"], described["adapters"]) == (expected["digest"], N - 4)
    ids = read_table(tmp_path / "data" / "source.parquet", ["adapter"])["adapter"].to_pylist()
    assert ids == [f"{row:06d}" for row in kept]


@pytest.mark.parametrize("kept", [0, 10, 60, 0.5, 0.999])
def test_a_truncated_weights_file_is_refused(source, refused, tmp_path, kept):
    prepare(source, "mine", "attention", tmp_path)
    path = tmp_path / "weights" / "attn1.npy"
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with refused("attn1.npy: truncated or damaged .*; delete it and run again"):
        GroupWeights.open(tmp_path, "attn1")


def test_weights_that_do_not_fit_the_layer_table_are_refused(source, refused, tmp_path):
    prepare(source, "mine", "attention", tmp_path)
    np.save(tmp_path / "weights" / "attn1.npy", np.zeros(3, np.float32))
    with refused(r"attn1.npy: holds 3 values where the layer table says \d+; delete it and run again"):
        GroupWeights.open(tmp_path, "attn1")


def test_absent_files_and_groups_are_refused(source, refused, tmp_path):
    prepare(source, "mine", "attention", tmp_path)
    with refused("layers.parquet: no layer group 'mid_block.attn1'"):
        GroupWeights.open(tmp_path, "mid_block.attn1")
    (tmp_path / "weights" / "attn1.npy").unlink()
    with refused("attn1.npy: no such file"):
        GroupWeights.open(tmp_path, "attn1")
    with refused("layers.parquet: no such file"):
        GroupWeights.open(tmp_path / "absent", "attn1")


def test_an_unknown_grouping_is_refused(source, refused, tmp_path):
    with refused("grouping: 'blocks' is not known"):
        prepare(source, "mine", "blocks", tmp_path)


def test_a_column_called_fingerprint_is_kept(weights, tmp_path):
    metadata = {**published.make_metadata(N), "fingerprint": pa.array(["theirs"] * N)}
    source = arrow.from_dataset(published.make_dataset(weights, metadata), "mine")
    prepare(source, "mine", "attention", tmp_path)
    assert read_table(tmp_path / "source.parquet")["fingerprint"].to_pylist() == ["theirs"] * N


@given(st.data())
def test_fingerprints_of_adapters_differ_exactly_where_weights_do(data):
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
    drawn = data.draw(st.lists(st.lists(floats, min_size=4, max_size=4), min_size=2, max_size=8))
    table = np.array(drawn, np.float32)
    found = adapter_fingerprints({"a": table[:, :3].reshape(-1, 1, 3), "b": table[:, 3:].reshape(-1, 1, 1)})
    for one in range(len(table)):
        for other in range(one):
            assert (found[one] == found[other]) == (table[one].tobytes() == table[other].tobytes())


def test_fingerprints_see_swapped_entries_and_matrices():
    a, b = np.ones((1, 1, 3), np.float32), np.full((1, 1, 3), 2, np.float32)
    mixed = np.array([[[1, 2, 1]], [[1, 1, 2]]], np.float32)
    one, other = adapter_fingerprints({"a": mixed})
    assert one != other
    assert adapter_fingerprints({"a": a, "b": b}) != adapter_fingerprints({"a": b, "b": a})


def test_a_source_says_what_it_is_in_json(source):
    assert json.loads(json.dumps(source.origin)) == source.origin
