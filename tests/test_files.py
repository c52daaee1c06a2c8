"""Files are whole or absent, say what made them, and are refused with one line when damaged."""

import json
import os
import pickle
import stat

import numpy as np
import pyarrow as pa
import pytest

from lorascope import files, leftovers
from lorascope.errors import DamagedFileError, LorascopeError


@pytest.fixture
def table():
    return pa.table({"adapter": ["a", "b", "c"], "score": [0.5, 0.25, 1.0]})


def test_a_failed_write_keeps_the_old_content_and_leaves_no_temp_file(tmp_path):
    def write_half():
        with files.atomic_path(path) as temp:
            temp.write_text("half a res")
            raise KeyboardInterrupt

    path = tmp_path / "result.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert files.read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_first_write_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(tmp_path / "result.json", {"accuracy": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_target_is_untouched_until_the_end(tmp_path):
    path = tmp_path / "deep" / "er" / "result.json"
    with files.atomic_path(path) as temp:
        temp.write_text("{}")
        assert not path.exists()
        assert temp.parent == path.parent  # else the move would copy
    assert path.read_text() == "{}"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.write_bytes(tmp_path / "result", b"x")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result").stat().st_mode) == 0o666 & ~umask


def test_tables_keep_values_and_metadata(tmp_path, table):
    metadata = {"key": "0123456789", "settings": {"hidden": [512, 64], "rate": 1e-3}, "name": "café"}
    files.write_table(tmp_path / "t.parquet", table, metadata)
    assert files.read_table(tmp_path / "t.parquet").equals(table)
    assert files.read_table(tmp_path / "t.parquet", ["score"]).column_names == ["score"]
    assert files.read_metadata(tmp_path / "t.parquet") == metadata


def test_metadata_is_added_to_what_the_schema_holds(table):
    schema = files.with_metadata(table.schema.with_metadata({"other": "kept"}), {"key": "1"})
    assert schema.metadata[b"other"] == b"kept"
    assert json.loads(schema.metadata[files.METADATA_KEY]) == {"key": "1"}


def test_a_table_without_metadata_has_none(tmp_path, table):
    files.write_table(tmp_path / "t.parquet", table)
    assert files.read_metadata(tmp_path / "t.parquet") == {}


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path, table):
    path = tmp_path / "group=7" / "t.parquet"
    files.write_table(path, table)
    assert files.read_table(path).column_names == table.column_names


@pytest.mark.parametrize("kept", [0, 3, 0.5, 0.9])
@pytest.mark.parametrize("read", [files.read_table, files.read_metadata])
def test_a_truncated_table_is_refused(tmp_path, table, refused, read, kept):
    path = tmp_path / "t.parquet"
    files.write_table(path, table, {"key": "1"})
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with refused(r"t\.parquet: not a readable parquet file .*delete it"):
        read(path)


def test_a_flipped_bit_anywhere_in_the_values_is_found(tmp_path):
    path = tmp_path / "t.parquet"
    values = pa.array(np.random.default_rng(0).standard_normal(500))
    files.write_table(path, pa.table({"value": values}))

    content = path.read_bytes()
    where = content.index(values.to_numpy().tobytes())
    for place in (where, where + 1234, where + 3999):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedFileError, match="delete it and run again") as caught:
            files.read_table(path)
        assert caught.value.unit == path


def test_a_file_that_the_system_cannot_read_is_not_damaged(tmp_path):
    with pytest.raises(LorascopeError) as caught, files.parquet_errors(tmp_path):
        raise PermissionError(13, "Permission denied")
    assert not isinstance(caught.value, DamagedFileError)


def test_what_is_marked_stays_until_it_is_set_aside_with_its_content(tmp_path):
    for content in ("first", "second"):
        weights = tmp_path / "data" / "weights"
        weights.mkdir(parents=True)
        (weights / "a.npy").write_text(content)
        leftovers.mark_damaged(weights)
        assert (weights / "a.npy").read_text() == content
        (aside,) = leftovers.set_aside_marked(tmp_path)
    assert [path.name for path in aside.parent.iterdir()] == [aside.name] == ["weights.damaged"]
    assert (aside / "a.npy").read_text() == "second"
    assert leftovers.set_aside_marked(tmp_path) == []


def test_a_mark_of_what_is_gone_is_taken_away(tmp_path):
    leftovers.mark_damaged(tmp_path / "a.parquet")
    assert leftovers.set_aside_marked(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(DamagedFileError("a/b.npy", "is too short", "a")))
    assert str(error) == "a/b.npy: is too short; delete it and run again"
    assert error.unit.name == "a"


@pytest.mark.parametrize("read", [files.read_table, files.read_metadata, files.read_json])
def test_a_missing_file_is_refused(tmp_path, refused, read):
    with refused(r"absent: no such file"):
        read(tmp_path / "absent")


def test_missing_columns_are_listed(tmp_path, table, refused):
    files.write_table(tmp_path / "t.parquet", table)
    with refused(r"lacks columns: label, split"):
        files.read_table(tmp_path / "t.parquet", ["adapter", "split", "label"])


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe\x00", b"[1, 2]", b"3"])
def test_what_is_no_json_object_is_refused(tmp_path, refused, content):
    (tmp_path / "r.json").write_bytes(content)
    with refused(r"r\.json: not a JSON"):
        files.read_json(tmp_path / "r.json")


def test_every_flipped_bit_of_a_table_is_found_or_changes_nothing(tmp_path, table):
    path = tmp_path / "t.parquet"
    files.write_table(path, table, {"key": "1"})
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        try:
            assert files.read_table(path).equals(table), place
        except DamagedFileError:
            continue


def test_another_value_in_a_json_file_is_found(tmp_path):
    path = tmp_path / "r.json"
    files.write_json(path, {"scores": (0.5, 1), "names": {1: "a"}})
    assert files.read_json(path) == {"scores": [0.5, 1], "names": {"1": "a"}}
    path.write_text(path.read_text().replace("0.5", "0.6"))
    with pytest.raises(DamagedFileError, match="not what its digest says; delete it and run again"):
        files.read_json(path)


def test_a_json_file_for_others_has_no_digest(tmp_path):
    files.write_json(tmp_path / "r.json", {"a": 1}, signed=False)
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": 1}
