"""Fingerprints of folders: blind to times, not to names, sizes or sampled content."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sets import folder_fingerprint
from lorascope.data.fingerprint import (
    BLOCK,
    END,
    STRIDE,
    WHOLE,
    SourceFile,
    file_digest,
    file_fingerprint,
)

SIZE = 40_017
LARGE = WHOLE + 3 * STRIDE + 17


@pytest.fixture
def folder(tmp_path):
    for name, fill in (("data-0.arrow", 1), ("data-1.arrow", 2), ("deep/state.json", 3)):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([fill]) * SIZE)
    return tmp_path / "set"


def test_a_touch_and_a_copy_change_nothing(folder):
    before = folder_fingerprint(folder)
    os.utime(folder / "data-0.arrow", (0, 0))
    assert folder_fingerprint(folder) == before
    assert folder_fingerprint(str(folder.rename(folder.parent / "elsewhere"))) == before


def overwrite(path, position, content=b"\0"):
    with path.open("r+b") as opened:
        opened.seek(position)
        opened.write(content)


@pytest.mark.parametrize("position", [0, 1, SIZE // 3, SIZE // 2, SIZE - 1])
def test_every_byte_of_a_small_file_counts(folder, position):
    before = folder_fingerprint(folder)
    overwrite(folder / "data-1.arrow", position)
    assert folder_fingerprint(folder) != before


def test_each_of_200_corrections_of_a_table_of_labels_counts(tmp_path):
    rows = [f"class-{row % 10}/adapter-{row:06d}.safetensors,class-{row % 10}" for row in range(4000)]
    table, found = tmp_path / "labels.csv", set()
    for row in range(0, 4000, 20):
        corrected = [*rows[:row], rows[row][:-1] + "x", *rows[row + 1 :]]
        table.write_text("\n".join(["path,label", *corrected]))
        assert table.stat().st_size > 160_000
        found.add(folder_fingerprint(tmp_path))
    assert len(found) == 200


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.arrow"
    with path.open("wb") as opened:
        opened.truncate(LARGE)
    return path


@pytest.mark.parametrize(
    "position",
    [
        *(0, END - 1, LARGE - END, LARGE - 1),
        *(STRIDE, STRIDE + BLOCK - 1, 7 * STRIDE, (LARGE - END) // STRIDE * STRIDE),
    ],
)
def test_samples_of_a_large_file_count(large, position):
    before = file_fingerprint(SourceFile(large))
    overwrite(large, position, b"x")
    assert file_fingerprint(SourceFile(large)) != before


def test_a_large_file_is_sampled_unless_no_byte_may_go_unnoticed(large):
    sampled, whole = file_fingerprint(SourceFile(large)), file_fingerprint(SourceFile(large, whole=True))
    assert whole == file_digest(large) != sampled
    overwrite(large, STRIDE - 1, b"x")
    assert file_fingerprint(SourceFile(large)) == sampled
    assert file_fingerprint(SourceFile(large, whole=True)) == file_digest(large) != whole
    with large.open("ab") as opened:
        opened.write(b"\0")
    assert file_fingerprint(SourceFile(large)) != sampled


def test_the_limit_is_where_it_is_said_to_be(tmp_path):
    path = tmp_path / "file"
    for size, sampled in ((16 * 2**20 - 1, False), (16 * 2**20, True)):
        with path.open("wb") as opened:
            opened.truncate(size)
        assert SourceFile(path).is_sampled == sampled


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "data-0.arrow").rename(folder / "data-2.arrow"),
        lambda folder: (folder / "data-0.arrow").rename(folder / "data-00.arrow"),
        lambda folder: (folder / "data-0.arrow").rename(folder / "deep" / "data-0.arrow"),
        lambda folder: (folder / "data-0.arrow").unlink(),
        lambda folder: (folder / "new").write_bytes(b""),
        lambda folder: (folder / "data-0.arrow").write_bytes(b"\1" * (SIZE + 1)),
        lambda folder: (folder / "data-0.arrow").write_bytes(b"\1" * (SIZE - 1)),
        lambda folder: (folder / "data-0.arrow").write_bytes(b""),
    ],
    ids=["rename", "rename in place", "move", "remove", "add an empty file", "longer", "shorter", "emptied"],
)
def test_names_and_sizes_count(folder, change):
    before = folder_fingerprint(folder)
    change(folder)
    assert folder_fingerprint(folder) != before


def test_swapped_files_count(folder):
    before = folder_fingerprint(folder)
    (folder / "data-0.arrow").rename(folder / "spare")
    (folder / "data-1.arrow").rename(folder / "data-0.arrow")
    (folder / "spare").rename(folder / "data-1.arrow")
    assert folder_fingerprint(folder) != before


def test_hidden_files_do_not_count(folder):
    before = folder_fingerprint(folder)
    (folder / ".lock").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_bytes(b"x")
    assert folder_fingerprint(folder) == before


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_small_files_are_read_whole(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("small")
    (folder / "one").write_bytes(one)
    (folder / "other").write_bytes(other)
    fingerprints = [file_fingerprint(SourceFile(folder / name)) for name in ("one", "other")]
    assert (len(set(fingerprints)) == 1) == (one == other)


def test_folders_without_data_are_refused(tmp_path, refused):
    with refused("absent: no such folder"):
        folder_fingerprint(tmp_path / "absent")
    with refused(": the folder is empty"):
        folder_fingerprint(tmp_path)
