"""Temp files of writers that are gone are removed, those of living ones are not."""

import signal
import subprocess
import sys

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
