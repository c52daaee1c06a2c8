"""The hub: what is asked and when, what is kept, how a download goes on, and what its refusals look like."""

import hashlib
import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

import published
from hub import Hub, parquet, published_files, shards
from lorascope.cli import main
from lorascope.data.hub import client, download
from lorascope.data.hub.pins import PIN_FILE, make_pin, move_pin, pin_of, read_pin
from lorascope.data.sources import open_source
from lorascope.data.sources.snapshot import snapshot_of
from lorascope.errors import DamagedFileError
from lorascope.files import read_json

NAME = "owner/adapters"
N = 40
SHARDS = 3
SECRET = "hf_SecretOfTheTest"
LARGE = "GET /cdn/"


@pytest.fixture(scope="module")
def files():
    return published_files(N, SHARDS)


@pytest.fixture
def hub(files, tmp_path, monkeypatch):
    """A hub with one data set, asked by the client of this process, with an empty cache."""
    with Hub() as server:
        server.publish(NAME, files)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(client, "WAITS", (0, 0, 0))
        monkeypatch.setattr(download, "WAITS", (0, 0, 0))
        yield server


def settings(**changed):
    own = {"source": "hub", "path": NAME, "revision": "main", "hub_split": "train"}
    return {**own, "label": "category_label", "group": None, **changed}


@pytest.fixture
def pin(hub, tmp_path):
    return pin_of(settings(), tmp_path)


def fetch(pin, folder):
    marker = folder / "download.json"
    download.download(pin, marker, {})
    return marker


# the pin


def test_a_pin_is_what_the_hub_holds(hub, files, pin, tmp_path):
    (commit,) = hub.repositories[NAME].commits
    assert (pin.commit, pin.path, pin.revision, pin.split) == (commit, NAME, "main", "train")
    data = {path: content for path, content in files.items() if path.endswith(".parquet")}
    assert [file.path for file in pin.files] == sorted(data)
    for file in pin.files:
        assert (file.size, file.digest) == (len(data[file.path]), hashlib.sha256(data[file.path]).hexdigest())
    assert {name: tuple(shape) for name, shape in pin.matrices.items()} == published.columns(published.NARROW)
    assert list(pin.columns) == list(published.make_metadata(1))
    assert pin.endpoint == hub.endpoint
    assert read_pin(tmp_path) == pin


def test_the_columns_cost_the_end_of_one_file(hub, files, tmp_path, monkeypatch):
    monkeypatch.setattr("lorascope.data.hub.schema.TAIL_BYTES", 1000)
    pin_of(settings(), tmp_path)
    assert len(hub.paths("GET /api/datasets/")) == 1
    first = len(files[min(files, key=lambda path: (not path.startswith("data"), path))])
    (_, short), (_, footer) = [
        (asked.path, asked.range) for asked in hub.asked if asked.path.startswith("/cdn/")
    ]
    assert short == f"bytes={first - 1000}-{first - 1}"
    assert 0 < int(footer.removeprefix("bytes=").split("-")[0]) < first - 1000


def test_a_pin_is_made_once_and_counts_from_then_on(hub, files, pin, tmp_path):
    hub.publish(NAME, {**files, "more.txt": b"x"})
    hub.asked.clear()
    assert pin_of(settings(), tmp_path) == pin
    assert hub.asked == []


@pytest.mark.parametrize("changed", [{"revision": "v1"}, {"path": "owner/other"}])
def test_other_settings_make_another_pin(hub, files, pin, tmp_path, changed):
    hub.publish(NAME, {**files, "more.txt": b"x"}, "v1")
    hub.publish("owner/other", files)
    other = pin_of(settings(**changed), tmp_path)
    assert other.commit != pin.commit
    assert read_pin(tmp_path) == other


def test_another_split_is_of_the_same_commit(hub, files, tmp_path):
    both = {**files, **shards(published.make_dataset(published.make_weights(5, published.NARROW)), 1, "test")}
    commit = hub.publish(NAME, both)
    assert len(pin_of(settings(), tmp_path).files) == SHARDS
    hub.publish(NAME, {**both, "more.txt": b"x"})
    pin = pin_of(settings(hub_split="test"), tmp_path)
    assert pin.commit == commit
    assert [file.path for file in pin.files] == ["data/test-00000-of-00001.parquet"]


def test_a_commit_and_the_default_branch(hub, files, tmp_path):
    first, second = hub.repositories[NAME].branches["main"], hub.publish(NAME, {**files, "more.txt": b"x"})
    assert pin_of(settings(revision=first), tmp_path / "a").commit == first
    assert pin_of(settings(revision=None), tmp_path / "b").commit == second


def test_an_update_moves_the_pin_and_says_what_changed(hub, files, pin, tmp_path):
    assert move_pin(settings(), tmp_path) == (pin, pin)
    first = min(path for path in files if path.startswith("data"))
    commit = hub.publish(NAME, {**files, first: files[first.replace("00000-", "00001-")]})
    old, new = move_pin(settings(), tmp_path)
    assert (old, new.commit) == (pin, commit)
    assert read_pin(tmp_path) == new


def test_a_commit_does_not_move(hub, refused, pin, tmp_path):
    with refused("`revision` is a commit, which does not move"):
        move_pin(settings(revision=pin.commit), tmp_path)


# what cannot be used is found before it is fetched


def other_columns(files, **columns):
    dataset = published.make_dataset(published.make_weights(10, published.NARROW))
    table = dataset.data.table
    for name, values in columns.items():
        table = table.append_column(name, values)
    return {"data/train-00000-of-00001.parquet": parquet(type(dataset)(table))}


def test_unknown_layers_are_refused(hub, refused, files, tmp_path):
    strange = published.array2d(np.zeros((10, 1, 3), np.float32))
    hub.publish(NAME, other_columns(files, **{"conv_in.lora.down.weight": strange}))
    with refused("owner/adapters: .*conv_in"):
        pin_of(settings(), tmp_path)
    assert not (tmp_path / PIN_FILE).exists()


def test_sides_of_two_ranks_are_refused(hub, refused, tmp_path):
    weights = published.make_weights(10, published.NARROW)
    column = next(iter(weights))
    weights[column] = np.repeat(weights[column], 2, axis=1)
    hub.publish(NAME, {"data/train-00000-of-00001.parquet": parquet(published.make_dataset(weights))})
    with refused("owner/adapters: .*rank|owner/adapters: .*shape"):
        pin_of(settings(), tmp_path)
    assert not (tmp_path / PIN_FILE).exists()


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ({"README.md": b"#"}, "no parquet files of split 'train' on the hub"),
        ({"data/test-00000-of-00001.parquet": b""}, "no split 'train'; splits: test; set hub_split"),
        ({"all.parquet": b"nothing" * 100}, "all.parquet is not a readable parquet file"),
        ({"all.parquet": b""}, "all.parquet is not a readable parquet file"),
    ],
)
def test_repositories_without_adapters_are_refused(hub, refused, tmp_path, content, pattern):
    hub.publish(NAME, content)
    with refused(f"^owner/adapters: {pattern}"):
        pin_of(settings(), tmp_path)


# refusals


@pytest.mark.parametrize(
    ("fault", "pattern"),
    [
        (
            {"status": 401, "code": "RepoNotFound"},
            "no such data set, or it is private; check `path`, or log in",
        ),
        ({"status": 401}, r"the token is not accepted \(401\); log in"),
        ({"status": 403, "code": "GatedRepo"}, "access is restricted; accept the terms .* log in"),
        ({"status": 403}, r"access is not granted \(403\); accept the terms"),
        ({"status": 404, "code": "RevisionNotFound"}, "no branch, tag or commit 'main'; check `revision`"),
        ({"status": 404}, r"there is no such data set or revision \(404\)"),
        ({"status": 429}, r"too many requests \(429\); wait some minutes"),
        ({"status": 503}, r"the hub has a problem of its own \(503\); run again later"),
        ({"status": 418}, "the hub answers: .*418"),
        ({"seconds": 0.5}, r"no answer from http://127.* within 0.1 s\); connect and run again"),
    ],
)
def test_what_the_hub_answers_is_told_in_one_line(hub, refused, monkeypatch, tmp_path, fault, pattern):
    monkeypatch.setattr(client, "SECONDS", 0.1 if "seconds" in fault else 10)
    hub.fail(times=99, **fault)
    with refused(f"^owner/adapters: .*{pattern}"):
        pin_of(settings(), tmp_path)
    assert not (tmp_path / PIN_FILE).exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://[", "nowhere"])
def test_a_hub_that_is_not_there_is_told_in_one_line(hub, refused, monkeypatch, tmp_path, address):
    monkeypatch.setattr(constants, "ENDPOINT", address)
    with refused(r"^owner/adapters: the hub does not answer \(no connection to .*\); connect and run again"):
        pin_of(settings(), tmp_path)


def test_offline_is_told(hub, refused, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refused("HF_HUB_OFFLINE forbids to ask the hub"):
        pin_of(settings(), tmp_path)
    assert hub.asked == []


@pytest.mark.parametrize("where", ["/api/", "/resolve/", "/cdn/"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_passes_is_waited_for(hub, pin, tmp_path, capsys, where, status):
    hub.fail(where, status=status, times=2, headers={"Retry-After": "0"})
    assert make_pin(settings()).commit == pin.commit
    assert capsys.readouterr().err.count(f"the hub answers {status}; asking again in 0 s") == 2


def test_the_hub_says_how_long_to_wait(hub, pin, monkeypatch):
    slept = []
    monkeypatch.setattr(client.time, "sleep", slept.append)
    hub.fail("/api/", status=429, headers={"Retry-After": "37"})
    hub.fail("/api/", status=429, headers={"RateLimit": '"api";r=0;t=55'})
    hub.fail("/api/", status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    make_pin(settings())
    assert slept == [37, 55, 0]


# the download


def test_what_was_downloaded_are_the_published_adapters(hub, pin, tmp_path):
    source = open_source(settings(), downloaded=fetch(pin, tmp_path))
    weights = published.make_weights(N, published.NARROW)
    batches = list(source.batches())
    assert [matrix.column for matrix in source.matrices] == list(weights)
    for column, values in weights.items():
        found = np.concatenate([batch[column] for batch in batches])
        np.testing.assert_array_equal(found, values)
    assert source.adapters["category_label"].to_pylist() == (
        published.make_metadata(N)["category_label"].to_pylist()
    )


def test_classes_have_their_names(hub, tmp_path):
    import datasets

    dataset = published.make_dataset(published.make_weights(10, published.NARROW))
    classes = datasets.ClassLabel(names=list(published.CATEGORIES))
    hub.publish(NAME, shards(dataset.cast_column("category_label", classes), 2))
    source = open_source(settings(), downloaded=fetch(pin_of(settings(), tmp_path), tmp_path))
    assert source.adapters["category_label"].to_pylist() == list(published.CATEGORIES)


def test_the_cache_is_the_hubs_own(hub, pin, tmp_path):
    from huggingface_hub import hf_hub_download

    fetch(pin, tmp_path)
    hub.asked.clear()
    for file in pin.files:
        found = hf_hub_download(NAME, file.path, repo_type="dataset", revision=pin.commit)
        assert hashlib.sha256(Path(found).read_bytes()).hexdigest() == file.digest
    assert hub.asked == []


def test_what_is_in_the_hubs_cache_is_not_fetched(hub, pin, tmp_path):

    fetch(pin, tmp_path)
    hub.asked.clear()
    fetch(pin, tmp_path)
    assert hub.asked == []


@pytest.mark.parametrize("cut", [0, 1, 1000])
def test_a_file_that_breaks_off_goes_on_where_it_ended(hub, pin, tmp_path, cut):
    hub.asked.clear()
    hub.fail(LARGE, cut=cut, times=2)
    fetch(pin, tmp_path)
    ranges = [asked.range for asked in hub.asked if "/cdn/" in asked.path and asked.method == "GET"]
    assert ranges[:3] == [f"bytes={start}-" for start in (0, cut, 2 * cut)]
    open_source(settings(), downloaded=tmp_path / "download.json")


def test_a_run_that_ended_goes_on_where_it_ended(hub, refused, pin, tmp_path):
    hub.fail(LARGE, cut=700)
    hub.fail("/cdn/", status=404, times=99)
    with refused("owner/adapters: there is no such data set or revision"):
        fetch(pin, tmp_path)
    assert not (tmp_path / "download.json").exists()
    hub.faults.clear()
    hub.asked.clear()
    fetch(pin, tmp_path)
    assert next(asked.range for asked in hub.asked if "/cdn/" in asked.path) == "bytes=700-"


def test_a_hub_that_goes_away_keeps_what_is_here(hub, refused, pin, tmp_path, monkeypatch):
    hub.fail(f"{LARGE}{pin.files[1].digest}", cut=10, times=1)
    hub.fail(f"{LARGE}{pin.files[1].digest}", cut=0, times=99)
    with refused(
        "owner/adapters: the hub does not answer .*; connect and run again; what is downloaded is kept"
    ):
        fetch(pin, tmp_path)
    hub.faults.clear()
    hub.asked.clear()
    fetch(pin, tmp_path)
    assert not hub.paths(pin.files[0].digest)
    assert next(asked.range for asked in hub.asked if "/cdn/" in asked.path) == "bytes=10-"


def test_a_hub_that_sends_whole_files_starts_again(hub, pin, tmp_path):
    hub.fail(LARGE, cut=700)
    hub.fail(LARGE, ranges=False)
    fetch(pin, tmp_path)
    ranges = [asked.range for asked in hub.asked if asked.path == f"/cdn/{pin.files[0].digest}"]
    assert ranges[-2:] == ["bytes=0-", "bytes=700-"]


def test_what_is_not_the_file_is_thrown_away(hub, pin, tmp_path):
    partial = download._partial(download.cache_folder(NAME), pin.files[0])
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 100)
    with pytest.raises(Exception, match="not what its digest on the hub says; run again"):
        fetch(pin, tmp_path)
    assert not partial.exists()
    fetch(pin, tmp_path)


def test_a_damaged_file_of_the_cache_is_fetched_again(hub, pin, tmp_path, capsys):
    fetch(pin, tmp_path)
    folder, names = snapshot_of(NAME, tmp_path / "download.json")
    damaged = folder / names[1]
    damaged.write_bytes(b"\0" * pin.files[1].size)
    hub.asked.clear()
    fetch(pin, tmp_path)
    assert hashlib.sha256(damaged.read_bytes()).hexdigest() == pin.files[1].digest
    assert "not what its digest says" in capsys.readouterr().err
    assert {asked.path.rpartition("/")[2] for asked in hub.asked if "/cdn/" in asked.path} == {
        pin.files[1].digest
    }


def test_too_little_room_is_told_before_the_first_byte(hub, refused, pin, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 0, pin.size - 1))
    hub.asked.clear()
    with refused(
        rf"{pin.size:,} bytes to download, but {pin.size - 1:,} bytes are free in .*; make room, or set"
    ):
        fetch(pin, tmp_path)
    assert hub.asked == []
    partial = download._partial(download.cache_folder(NAME), pin.files[0])
    partial.parent.mkdir(parents=True)
    shard = hub.large(pin.files[0].digest)
    partial.write_bytes(shard[:1])
    fetch(pin, tmp_path)


def test_files_that_left_the_cache_are_named(hub, pin, tmp_path):
    marker = fetch(pin, tmp_path)
    hub.asked.clear()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(
        DamagedFileError, match=r"is no longer in the cache of the hub .*; delete it and run again"
    ):
        open_source(settings(), downloaded=marker)
    assert hub.asked == []


def test_a_cache_elsewhere_is_found(hub, pin, tmp_path, monkeypatch):
    marker = fetch(pin, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "of a node"))
    assert snapshot_of(NAME, marker)[0].is_relative_to(tmp_path / "cache")
    (tmp_path / "cache").rename(tmp_path / "moved")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "moved"))
    assert snapshot_of(NAME, marker)[0].is_relative_to(tmp_path / "moved")


def test_without_a_download_nothing_is_asked(hub, refused):
    with refused("owner/adapters: no such folder, and a data set on the hub is downloaded first"):
        open_source(settings())
    assert hub.asked == []


def test_a_gated_set_is_read_with_a_token_that_is_never_told(hub, refused, tmp_path, monkeypatch, capsys):
    hub.gated, hub.token = {NAME}, SECRET
    with refused("access is restricted; accept the terms on the data set's page and log in"):
        pin_of(settings(), tmp_path)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub.fail("/resolve/", status=429, headers={"Retry-After": "0"})
    pin = pin_of(settings(), tmp_path)
    hub.fail(LARGE, cut=10)
    fetch(pin, tmp_path)
    at_the_hub = [asked.token for asked in hub.asked if asked.path.startswith("/datasets/")]
    assert f"Bearer {SECRET}" in at_the_hub
    assert {asked.token for asked in hub.asked if hub.cdn.endswith(asked.host)} == {""}
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    hub.fail("", status=403, times=99)
    with pytest.raises(Exception, match="403") as refusal:
        make_pin(settings())
    assert SECRET not in str(refusal.value)


def test_the_command(hub, pin, tmp_path, capsys):
    words = [
        "download",
        "--pin",
        str(tmp_path),
        "--commit",
        pin.commit,
        "--out",
        str(tmp_path / "there.json"),
    ]
    assert main(words) == 0
    told = read_json(tmp_path / "there.json")
    assert (told["path"], told["commit"]) == (NAME, pin.commit)
    assert [file["digest"] for file in told["files"]] == [file.digest for file in pin.files]
    assert f"{pin.size:,} bytes" in capsys.readouterr().err
    words[4] = "0" * 40
    assert main(words) == 2
    assert "updated since the run was planned" in capsys.readouterr().err


def test_the_update_command(hub, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = {"dataset": "mine", "datasets": {"mine": {"source": "hub", "path": NAME}}}
    Path("study.yaml").write_text(json.dumps(config))
    words = ["data", "update", "mine", "--configfile", "study.yaml"]
    old = hub.repositories[NAME].branches["main"]
    assert main(words) == 0
    assert f"{NAME}: {old}, {SHARDS} files" in capsys.readouterr().out
    assert main(words) == 0
    assert f"unchanged, {old}" in capsys.readouterr().out
    first = "data/train-00000-of-00003.parquet"
    table = pq.read_table(pa.BufferReader(files[first]))
    stream = pa.BufferOutputStream()
    pq.write_table(table.append_column("more", pa.array(range(table.num_rows))), stream)
    new = hub.publish(NAME, {**files, first: stream.getvalue().to_pybytes()})
    assert main(words) == 0
    told = capsys.readouterr().out
    assert f"{old} → {new}" in told
    assert f"1 file changed: {first}" in told
    assert "1 column new: more" in told
    assert read_pin("results/mine").commit == new
