"""A store in a bucket, on a real S3-compatible server that runs beside the tests."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyarrow.fs import S3FileSystem

from lorascope.cli import main
from lorascope.store.bucket import Bucket
from lorascope.store.inventory import entries
from stores import KEY, make_data, start, words

# In an environment of its own: what it needs is not what the study is pinned to (requirements-s3.txt).
SERVER = Path(sys.prefix) / "s3-server/bin/moto_server"
SECONDS_TO_START = 60
BUCKET = "features"
OTHER_KEY = "fedcba9876"


@pytest.fixture(scope="module")
def server():
    """Start the server; yield its address and the environment that names it."""
    program = SERVER if SERVER.exists() else shutil.which("moto_server")
    if not program:
        (pytest.fail if "CI" in os.environ else pytest.skip)("no moto_server: `make setup-dev` installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(program), "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.fixture
def files(server, monkeypatch):
    """An empty bucket, and the settings that lead to it."""
    settings = {
        "AWS_ENDPOINT_URL": f"http://{server}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    files = S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True)
    files.create_dir(BUCKET)
    files.delete_dir_contents(BUCKET)
    return files


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("made"))


@pytest.fixture
def store():
    return f"s3://{BUCKET}/some/prefix"


def object_path(store):
    (entry,) = entries(Bucket(store))
    sha256 = entry.manifest["files"]["features.parquet"]["sha256"]
    return f"{store.removeprefix('s3://')}/{entry.address.object(sha256)}"


def test_there_and_back(data, files, store, tmp_path, capsys):
    assert main(words(data, store, tmp_path / "first.parquet")) == 0
    assert f"put into the store: {store}/stats/{KEY}/attn1." in capsys.readouterr().err
    assert main(words(data, store, tmp_path / "second.parquet")) == 0
    assert f"from the store: {store}/stats/{KEY}/attn1." in capsys.readouterr().err
    assert (tmp_path / "second.parquet").read_bytes() == (tmp_path / "first.parquet").read_bytes()
    assert main(["store", "ls", store, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["representation"], row["adapters"], row["dataset"]) == ("stats", 12, "made")
    assert main(["store", "verify", store]) == 0


def test_a_url_may_name_the_server(data, files, server, store, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    url = f"{store}?endpoint_override={server}&scheme=http&region=us-east-1"
    assert main(words(data, url, tmp_path / "first.parquet")) == 0
    assert len(entries(Bucket(url))) == 1


def test_two_at_once_end_in_one_whole_entry(data, files, store, tmp_path):
    running = [start(*words(data, store, tmp_path / f"{name}.parquet")) for name in "ab"]
    told = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert len(entries(Bucket(store))) == 1
    assert main(["store", "verify", store]) == 0


def test_a_damaged_entry_is_named_put_aside_and_made_again(data, files, store, tmp_path, capsys):
    assert main(words(data, store, tmp_path / "first.parquet")) == 0
    path = object_path(store)
    with files.open_output_stream(path) as stream:
        stream.write((tmp_path / "first.parquet").read_bytes()[:-7])
    assert main(["store", "verify", store]) == 1
    assert "is not what was published" in capsys.readouterr().out
    assert main(words(data, store, tmp_path / "second.parquet")) == 0
    assert "put aside and computed again" in capsys.readouterr().err
    assert (tmp_path / "second.parquet").read_bytes() == (tmp_path / "first.parquet").read_bytes()
    assert main(["store", "verify", store]) == 0


def test_an_object_without_a_manifest_is_no_entry(data, files, store, tmp_path, capsys):
    assert main(words(data, store, tmp_path / "first.parquet")) == 0
    files.delete_file(object_path(store).rpartition("/")[0] + "/manifest.json")
    capsys.readouterr()
    assert main(words(data, store, tmp_path / "second.parquet")) == 0
    assert "put into the store" in capsys.readouterr().err


def test_gc_removes_what_no_study_refers_to(data, files, store, tmp_path, capsys):
    (tmp_path / "results/made/features/stats" / KEY).mkdir(parents=True)
    for key in (KEY, OTHER_KEY):
        arguments = words(data, store, tmp_path / f"{key}.parquet")
        arguments[arguments.index(KEY)] = key
        assert main(arguments) == 0
    collect = ["store", "gc", store, "--study", str(tmp_path / "results"), "--delete"]
    assert main(collect) == 0
    assert len(entries(Bucket(store))) == 2
    assert main([*collect, "--hours", "0"]) == 0
    assert [entry.address.key for entry in entries(Bucket(store))] == [KEY]


def test_a_bucket_that_is_not_there_costs_the_sharing_alone(data, files, tmp_path, capsys):
    assert main(words(data, "s3://nowhere/prefix", tmp_path / "first.parquet")) == 0
    assert "warning: s3://nowhere/prefix/stats" in capsys.readouterr().err
    assert (tmp_path / "first.parquet").exists()


def test_a_server_that_does_not_answer_is_an_error_of_one_line(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert main(words(data, "s3://features/x", tmp_path / "first.parquet")) == 2
    told = capsys.readouterr().err
    assert "cannot be read" in told
    assert told.count("\n") == 1
