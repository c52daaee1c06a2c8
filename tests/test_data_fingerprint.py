"""Fingerprints of folders: blind to times, not to names, sizes or sampled content."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorascope.data.fingerprint import BLOCK, file_fingerprint, folder_fingerprint

SIZE = 10 * BLOCK + 17


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


@pytest.mark.parametrize(
    "position", [0, BLOCK - 1, SIZE // 4, SIZE // 2, 3 * SIZE // 4, SIZE - BLOCK, SIZE - 1]
)
def test_sampled_content_counts(folder, position):
    before = folder_fingerprint(folder)
    overwrite(folder / "data-1.arrow", position)
    assert folder_fingerprint(folder) != before


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
    assert (file_fingerprint(folder / "one") == file_fingerprint(folder / "other")) == (one == other)


def test_folders_without_data_are_refused(tmp_path, refused):
    with refused("absent: no such folder"):
        folder_fingerprint(tmp_path / "absent")
    with refused(": the folder is empty"):
        folder_fingerprint(tmp_path)
