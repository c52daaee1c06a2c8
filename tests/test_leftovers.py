"""Temp files of writers that are gone are removed, those of living ones are not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lorascope import files, leftovers

WRITER = """
import sys, time
from lorascope.files import atomic_path
with atomic_path(sys.argv[1]) as temp:
    temp.write_text("half a res")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_only_temp_files_without_a_writer_are_removed(tmp_path):
    path = tmp_path / "deep/result.json"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout.readline() == "writing\n"
        assert leftovers.sweep(tmp_path) == []
        (temp,) = path.parent.iterdir()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert leftovers.sweep(tmp_path) == [temp]
        assert list(path.parent.iterdir()) == []
    finally:
        writer.kill()
        writer.communicate()


def test_a_finished_file_and_other_hidden_files_stay(tmp_path):
    files.write_json(tmp_path / "result.json", {"a": 1})
    (tmp_path / ".study").write_text("")
    assert leftovers.sweep(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 2


def test_a_temp_file_swept_before_its_lock_is_made_again(tmp_path, monkeypatch):
    """Between creating and locking it, another run may take it for one of a killed writer."""
    lock, swept = files.fcntl.flock, []

    def late(handle, how):
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        lock(handle, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    files.write_json(tmp_path / "result.json", {"a": 1})
    assert files.read_json(tmp_path / "result.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_times_of_the_future_end_now_in_the_same_order(tmp_path):
    now = time.time()
    written = {"old": now - 50, "first": now + 1000, "folder/second": now + 2000, "folder": now + 3000}
    (tmp_path / "folder").mkdir()
    for name in ("old", "first", "folder/second"):
        (tmp_path / name).touch()
    for name, then in written.items():
        os.utime(tmp_path / name, (then, then))
    assert leftovers.bring_back_from_the_future(tmp_path) == 3
    found = {name: (tmp_path / name).stat().st_mtime for name in written}
    assert found["old"] == pytest.approx(written["old"], abs=1e-3)
    assert now <= found["folder"] <= time.time()
    assert found["folder"] - found["folder/second"] == pytest.approx(1000, abs=1e-3)
    assert found["folder/second"] - found["first"] == pytest.approx(1000, abs=1e-3)
    assert leftovers.bring_back_from_the_future(tmp_path) == 0
