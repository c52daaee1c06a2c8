"""Sources: the published schema reads as the same numbers from every place and layout; refusals say why."""

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

import published
from data_sets import folder_fingerprint
from lorascope.adapters.architectures import sd15_shapes
from lorascope.data.prepare import prepare
from lorascope.data.sources import arrow, open_source, source_fingerprint, source_layers
from lorascope.data.sources.zoo import load_zoo

N = 40
# Two blocks: self- and cross-attention, layers of different widths.
COLUMNS = list(published.columns())[:24]
LAYERS = list(published.layers())[:12]


@pytest.fixture(scope="module")
def weights():
    drawn = published.make_weights(N, published.NARROW)
    return {column: drawn[column] for column in COLUMNS}


@pytest.fixture(scope="module")
def whole(weights):
    return published.make_dataset(weights)


@pytest.fixture(scope="module")
def few(whole):
    """A data set of one layer, for what does not depend on the number of columns."""
    return whole.select_columns(COLUMNS[:2] + whole.column_names[len(COLUMNS) :])


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    # Not a divisor of N: the last batch is shorter.
    monkeypatch.setattr(arrow, "BATCH_ROWS", 16)


def disk(path, **settings):
    return {"source": "disk", "path": str(path), "hub_split": "train", **settings}


def hub(path):
    return {
        "source": "hub",
        "path": str(path),
        "revision": "main",
        "hub_split": "train",
    }


def all_weights(source):
    """Return column → all batches of a source."""
    batches = list(source.batches())
    return {
        matrix.column: np.concatenate([batch[matrix.column] for batch in batches])
        for matrix in source.matrices
    }


def assert_same(source, weights, rows=slice(None), prefix=""):
    found = all_weights(source)
    assert list(found) == [prefix + column for column in weights]
    for column, values in weights.items():
        np.testing.assert_array_equal(found[prefix + column], values[rows])


def write_one_file(whole, folder):
    whole.save_to_disk(folder)
    return disk(folder)


def write_shards(whole, folder):
    whole.save_to_disk(folder, num_shards=3)
    return disk(folder)


def write_dict(whole, folder):
    datasets.DatasetDict({"test": whole.select(range(5)), "train": whole}).save_to_disk(folder)
    return disk(folder)


def write_parquet(whole, folder):
    folder.mkdir()
    for part in range(3):
        whole.shard(3, part, contiguous=True).to_parquet(folder / f"part-{part}.parquet")
    return disk(folder)


def write_plain_parquet(whole, folder):
    """Nested lists as another program would write them, without a word about ``datasets``."""
    folder.mkdir()
    table = whole.data.table
    storages = [
        pa.chunked_array([chunk.storage for chunk in column.chunks])
        if column.type not in (pa.string(),) and isinstance(column.type, pa.BaseExtensionType)
        else column
        for column in table.columns
    ]
    pq.write_table(pa.table(dict(zip(table.column_names, storages, strict=True))), folder / "all.parquet")
    return disk(folder)


def write_hub_layout(whole, folder):
    (folder / "data").mkdir(parents=True)
    for part in range(2):
        name = f"train-{part:05d}-of-00002.parquet"
        whole.shard(2, part, contiguous=True).to_parquet(folder / "data" / name)
    return hub(folder)


def write_hub_copy(whole, folder):
    """A data set as it was cloned from the hub, with another split and what else lies there."""
    write_hub_layout(whole, folder)
    whole.select(range(5)).to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    (folder / "README.md").write_text("# A data set")
    (folder / ".gitattributes").write_text("*.parquet filter=lfs")
    return disk(folder)


WRITERS = [write_one_file, write_shards, write_dict, write_parquet, write_plain_parquet, write_hub_layout]
WRITERS.append(write_hub_copy)


@pytest.fixture(scope="module", params=WRITERS, ids=lambda writer: writer.__name__)
def stored(request, whole, tmp_path_factory):
    return request.param(whole, tmp_path_factory.mktemp(request.param.__name__) / "set")


def test_every_place_and_layout_gives_the_same_adapters(stored, weights, whole):
    source = open_source(stored)
    assert_same(source, weights)
    assert source.adapters["adapter"].to_pylist() == [f"{row:06d}" for row in range(N)]
    for name in whole.column_names[len(COLUMNS) :]:
        assert source.adapters[name].to_pylist() == whole.data[name].to_pylist()
    assert source.origin == {"path": stored["path"]}


def test_layers_are_known_without_loading(stored):
    assert source_layers(stored) == LAYERS


def test_reading_leaves_the_fingerprint_as_it_was(stored):
    before = source_fingerprint(stored)
    assert before == folder_fingerprint(stored["path"])
    list(open_source(stored).batches())
    assert source_fingerprint(stored) == before


def test_the_published_shapes(tmp_path):
    weights = published.make_weights(3, published.SD15)
    published.make_dataset(weights, prefix="unet.").save_to_disk(tmp_path / "set")
    source = open_source(disk(tmp_path / "set"))
    assert_same(source, weights, prefix="unet.")
    assert sum(matrix.size for matrix in source.matrices) == 99_648
    assert {matrix.layer for matrix in source.matrices} == set(sd15_shapes())


@pytest.mark.parametrize(
    ("rearrange", "rows"),
    [
        (lambda whole: whole.select([5, 3, 39, 3]), [5, 3, 39, 3]),
        (lambda whole: whole.select(range(10, 30)), range(10, 30)),
        (lambda whole: whole.shuffle(seed=1).select(range(8)).flatten_indices(), None),
        (lambda whole: whole.shuffle(seed=1), None),
    ],
    ids=["select", "range", "flattened", "shuffle"],
)
@pytest.mark.parametrize("saved", [False, True])
def test_rows_that_were_picked_or_shuffled(whole, weights, tmp_path, rearrange, rows, saved):
    picked = rearrange(whole)
    if rows is None:
        rows = picked["leaf_id"][:]
    if saved:
        picked.save_to_disk(tmp_path / "set")
    source = open_source(disk(tmp_path / "set")) if saved else arrow.from_dataset(picked, "here")
    assert_same(source, weights, list(rows))
    assert source.adapters["leaf_id"].to_pylist() == list(rows)


def test_other_ranks_and_half_precision(tmp_path):
    weights = published.make_weights(6, published.NARROW, rank=3)
    columns = {
        name: pa.array(
            [[row.astype(np.float16) for row in matrix] for matrix in values],
            pa.list_(pa.list_(pa.float16())),
        )
        for name, values in weights.items()
    }
    datasets.Dataset(pa.table({**columns, **published.make_metadata(6)})).save_to_disk(tmp_path / "set")
    source = open_source(disk(tmp_path / "set"))
    assert {min(matrix.rows, matrix.cols) for matrix in source.matrices} == {3}
    assert_same(source, {name: values.astype(np.float16) for name, values in weights.items()})


def test_class_labels_are_read_by_name_and_whole_numbers_as_they_are(whole, tmp_path):
    names = sorted(published.CATEGORIES)
    labelled = whole.cast_column("category_label", datasets.ClassLabel(names=names))
    labelled = labelled.add_column("number", [row % 10 for row in range(N)])
    labelled.save_to_disk(tmp_path / "set")
    adapters = open_source(disk(tmp_path / "set")).adapters
    assert adapters["category_label"].to_pylist() == whole["category_label"][:]
    assert adapters["number"].to_pylist() == [row % 10 for row in range(N)]


def test_class_labels_that_are_not_given_are_empty(weights):
    metadata = published.make_metadata(N)
    table = published.make_dataset(weights, {**metadata, "category_label": pa.array([-1, 0] * (N // 2))})
    features = table.features.copy()
    features["category_label"] = datasets.ClassLabel(names=["cat", "dog"])
    source = arrow.from_dataset(table.cast(features), "here")
    assert source.adapters["category_label"].to_pylist() == [None, "cat"] * (N // 2)


def test_metadata_of_several_types_comes_along_and_nested_ones_do_not(weights, tmp_path):
    metadata = {
        **published.make_metadata(N),
        "tags": pa.array([["x"]] * N),
        "adapter": pa.array(["mine"] * N),
    }
    published.make_dataset(weights, metadata).save_to_disk(tmp_path / "set")
    adapters = open_source(disk(tmp_path / "set")).adapters
    assert "tags" not in adapters.column_names
    assert adapters["adapter"].to_pylist()[:2] == ["000000", "000001"]


def test_sanity_is_twenty_layers_of_five_adapters():
    source = open_source({"source": "sanity"})
    assert source_layers({"source": "sanity"}) == list(published.layers())[:20]
    assert len(source.matrices) == 40
    assert {
        matrix.column: (matrix.rows, matrix.cols) for matrix in source.matrices
    }.items() <= published.columns().items()
    assert source.adapters["label"].to_pylist() == ["cat", "dog", "ship", "cat", "dog"]
    one, other = all_weights(source), all_weights(open_source({"source": "sanity"}))
    assert all(np.array_equal(one[name], other[name]) for name in one)


# refusals: one line that names data set, column or file


def without(whole, *columns):
    return whole.remove_columns(list(columns))


def test_an_empty_data_set_is_refused(few, refused):
    with refused("here: the data set is empty"):
        arrow.from_dataset(few.select([]), "here")


def test_an_empty_data_set_on_disk_is_refused(few, refused, tmp_path):
    few.select([]).save_to_disk(tmp_path / "set")
    for ask in (open_source, source_layers):
        with refused("set: the data set is empty"):
            ask(disk(tmp_path / "set"))


def test_an_empty_file_among_others_does_no_harm(few, weights, tmp_path):
    settings = write_parquet(few, tmp_path / "set")
    few.select([]).to_parquet(tmp_path / "set" / "a-first.parquet")
    assert_same(open_source(settings), {name: weights[name] for name in COLUMNS[:2]})


def test_an_empty_split_beside_others_does_no_harm(few, tmp_path):
    datasets.DatasetDict({"empty": few.select([]), "train": few}).save_to_disk(tmp_path / "set")
    assert source_layers(disk(tmp_path / "set")) == LAYERS[:1]


def test_a_data_set_without_matrices_is_refused(few, refused, tmp_path):
    few.select_columns(["category_label", "folder"]).save_to_disk(tmp_path / "set")
    with refused("no column names a LoRA matrix; expected e.g."):
        open_source(disk(tmp_path / "set"))
    with refused("no column names a LoRA matrix; expected e.g."):
        source_layers(disk(tmp_path / "set"))


@pytest.mark.parametrize("name", ["mid_block.resnets.0.conv1.lora.down.weight", "text_encoder.weight"])
def test_columns_that_are_neither_attn1_nor_attn2_are_listed(weights, refused, tmp_path, name):
    published.make_dataset({**weights, name: weights[COLUMNS[0]]}).save_to_disk(tmp_path / "set")
    with refused(f"neither attn1 nor attn2: {name}; remove these columns"):
        open_source(disk(tmp_path / "set"))


def test_layers_that_are_neither_are_listed_when_a_study_is_planned(weights, refused, tmp_path):
    name = "mid_block.resnets.0.conv1.lora.down.weight"
    published.make_dataset({**weights, name: weights[COLUMNS[0]]}).save_to_disk(tmp_path / "set")
    with refused(f"neither attn1 nor attn2: {name}; remove these columns"):
        source_layers(disk(tmp_path / "set"))


def test_a_matrix_name_on_a_flat_column_is_refused(few, refused):
    flat = without(few, COLUMNS[0]).add_column(COLUMNS[0], [[0.5, 1.0]] * N)
    with refused(rf"column '{COLUMNS[0]}' is (large_)?list<.*>, not a 2-D array of floats"):
        arrow.from_dataset(flat, "here")


def test_a_missing_factor_is_refused(few, refused):
    with refused(rf"layer {COLUMNS[0].removesuffix('.lora.down.weight')} lacks its down matrix"):
        arrow.from_dataset(without(few, COLUMNS[0]), "here")


def test_ranks_that_differ_within_a_layer_are_refused(weights, refused):
    other = {**weights, COLUMNS[0]: np.concatenate([weights[COLUMNS[0]]] * 2, axis=1)}
    with refused("down has rank 2, up has rank 1; they must agree"):
        arrow.from_dataset(published.make_dataset(other), "here")


def test_mixed_shapes_within_a_column_are_refused(weights, refused):
    ragged = published.make_dataset(weights).data.table.to_pydict()
    ragged[COLUMNS[1]][20] = ragged[COLUMNS[1]][20][:-1]
    source = arrow.from_dataset(datasets.Dataset.from_dict(ragged), "here")
    assert np.isnan(all_weights(source)[COLUMNS[1]][20]).all()
    assert source.unreadable == {20: f"column '{COLUMNS[1]}' is (2, 1) where most adapters have (3, 1)"}


def test_no_data_set_is_refused(refused, tmp_path):
    for ask in (open_source, source_layers):
        with refused("neither a data set written by save_to_disk nor a folder of parquet files"):
            ask(disk(tmp_path))
    with refused("absent: no such folder"):
        source_fingerprint(disk(tmp_path / "absent"))


def test_an_unknown_split_is_refused(few, refused, tmp_path):
    settings = write_dict(few, tmp_path / "set")
    with refused("no split 'valid'; splits: test, train; set hub_split"):
        open_source({**settings, "hub_split": "valid"})
    copy = write_hub_copy(few, tmp_path / "copy")
    for ask in (open_source, source_layers):
        with refused("copy: no split 'valid'; splits: test, train; set hub_split"):
            ask({**copy, "hub_split": "valid"})
    layout = write_hub_layout(few, tmp_path / "hub")
    with refused(r'cannot be loaded: Unknown split "valid"'):
        open_source({**layout, "hub_split": "valid"})


def test_a_hub_folder_without_data_is_refused(refused, tmp_path):
    with refused("cannot be loaded: "):
        open_source(hub(tmp_path))


def truncate(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])


@pytest.mark.parametrize("kept", [0, 0.001, 0.5, 0.99])
@pytest.mark.parametrize("ask", [open_source, source_layers])
def test_truncated_parquet_is_refused(few, refused, tmp_path, kept, ask):
    settings = write_parquet(few, tmp_path / "set")
    truncate(tmp_path / "set" / "part-0.parquet", kept)
    with refused("part-0.parquet: not a readable parquet file"):
        ask(settings)


def test_a_later_file_that_is_truncated_is_refused(few, refused, tmp_path):
    settings = write_parquet(few, tmp_path / "set")
    truncate(tmp_path / "set" / "part-2.parquet", 0.5)
    with refused("part-2.parquet: not a readable parquet file"):
        open_source(settings)


def test_parquet_that_is_damaged_inside_is_refused(few, refused, tmp_path):
    settings = write_parquet(few, tmp_path / "set")
    path = tmp_path / "set" / "part-1.parquet"
    content = bytearray(path.read_bytes())
    content[4:4000] = b"\xff" * 3996
    path.write_bytes(content)
    with refused("part-1.parquet: not a readable parquet file"):
        list(open_source(settings).batches())


@pytest.mark.parametrize("kept", [0, 0.001, 0.5, 0.99])
def test_a_truncated_arrow_file_is_refused(few, refused, tmp_path, kept):
    settings = write_one_file(few, tmp_path / "set")
    truncate(tmp_path / "set" / "data-00000-of-00001.arrow", kept)
    with refused("save_to_disk"):
        list(open_source(settings).batches())


@pytest.mark.parametrize("kept", [0, 0.001])
def test_a_truncated_arrow_file_is_refused_when_a_study_is_planned(few, refused, tmp_path, kept):
    settings = write_one_file(few, tmp_path / "set")
    truncate(tmp_path / "set" / "data-00000-of-00001.arrow", kept)
    with refused("save_to_disk"):
        source_layers(settings)


@pytest.mark.parametrize("state", ["", "{}", '{"_data_files": [{"filename": "gone"}]}'])
def test_a_damaged_state_is_refused(few, refused, tmp_path, state):
    settings = write_one_file(few, tmp_path / "set")
    (tmp_path / "set" / "state.json").write_text(state)
    with refused("save_to_disk"):
        source_layers(settings)


def test_other_columns_in_one_parquet_file_are_refused(few, refused, tmp_path):
    settings = write_parquet(few, tmp_path / "set")
    without(few, "folder").to_parquet(tmp_path / "set" / "part-1.parquet")
    with refused(r"part-1.parquet: columns differ from those of part-0.parquet: folder"):
        open_source(settings)


def test_columns_in_another_order_are_the_same(few, weights, tmp_path):
    settings = write_parquet(few, tmp_path / "set")
    other = few.shard(3, 1, contiguous=True)
    other.select_columns(other.column_names[::-1]).to_parquet(tmp_path / "set" / "part-1.parquet")
    assert_same(open_source(settings), {name: weights[name] for name in COLUMNS[:2]})


def test_metadata_types_that_widen_are_joined_and_others_are_refused(few, refused, tmp_path):
    settings = write_parquet(few, tmp_path / "set")
    path = tmp_path / "set" / "part-1.parquet"
    table = pq.read_table(path)
    position = table.column_names.index("folder")
    pq.write_table(table.set_column(position, "folder", pa.nulls(len(table))), path)
    assert open_source(settings).adapters["folder"].null_count == len(table)
    pq.write_table(table.set_column(position, "folder", pa.array(range(len(table)))), path)
    with refused("set: the files' columns differ in type: .*folder"):
        open_source(settings)


# zoo shards


def write_shard(folder, name, weights, ids):
    path = folder / f"{name}.safetensors"
    save_file(weights, path)
    pq.write_table(pa.table({"adapter": ids, "label": ["x"] * len(ids)}), path.with_suffix(".parquet"))
    return path


@pytest.fixture
def shards(tmp_path):
    stem = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    values = np.arange(5 * 4, dtype=np.float32).reshape(5, 1, 4)
    weights = {f"{stem}.lora_A.weight": values, f"{stem}.lora_B.weight": values.reshape(5, 4, 1)}
    first = write_shard(
        tmp_path, "one", {name: array[:3] for name, array in weights.items()}, ["a", "b", "c"]
    )
    second = write_shard(tmp_path, "two", {name: array[3:] for name, array in weights.items()}, ["d", "e"])
    return weights, [first, second]


def test_shards_follow_each_other(shards):
    weights, paths = shards
    source = load_zoo(paths)
    assert source.adapters["adapter"].to_pylist() == list("abcde")
    assert_same(source, weights)
    assert [(matrix.rows, matrix.cols) for matrix in source.matrices] == [(1, 4), (4, 1)]


@pytest.mark.parametrize("kept", [0, 0.3, 0.9])
@pytest.mark.parametrize("which", [0, 1])
def test_a_truncated_shard_is_refused(shards, refused, kept, which):
    truncate(shards[1][which], kept)
    with refused(rf"{shards[1][which].name}: not a readable"):
        all_weights(load_zoo(shards[1]))


def test_a_shard_with_other_tensors_is_refused(shards, refused, tmp_path):
    save_file({"something": np.zeros((2, 1, 4), np.float32)}, tmp_path / "two.safetensors")
    with refused(r"two.safetensors: lacks .* of the first shard"):
        all_weights(load_zoo(shards[1]))
    with refused("two.safetensors: 'something' names no LoRA matrix"):
        load_zoo(shards[1][1:])


def test_a_shard_without_its_table_is_refused(shards, refused):
    shards[1][1].with_suffix(".parquet").unlink()
    with refused("two.parquet: no such file"):
        load_zoo(shards[1])


def test_a_zoo_without_shards_is_refused(refused):
    with refused("zoo: no shards"):
        open_source({"source": "zoo"})


@pytest.mark.parametrize("rows", [1, 3])
def test_a_table_that_does_not_fit_its_shard_is_refused(shards, refused, tmp_path, rows):
    table = pa.table({"adapter": ["x"] * rows, "label": ["x"] * rows})
    pq.write_table(table, tmp_path / "two.parquet")
    with refused(rf"z: {3 + rows} adapters in the table but weights of "):
        prepare(load_zoo(shards[1]), "z", "attention", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.npy"))
