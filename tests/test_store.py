"""A store of shared features on a mount: once for all, never half, never of other weights."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from data_sets import LAYERS, make_data_set, random_factors
from lorascope import locks as lock
from lorascope.cli import main
from lorascope.computing import COMPUTING, recorded_versions
from lorascope.data.weights import GroupWeights
from lorascope.features.fit import fit
from lorascope.store import mount
from lorascope.store.entry import Address, address_of
from lorascope.store.features import feature_address, feature_inputs
from lorascope.store.inventory import entries
from lorascope.store.mount import Mount
from lorascope.store.places import check_place
from lorascope.study.config import load_config
from lorascope.study.plan import Plan
from stores import KEY, damage, files_of, make_data, start, the_object, words

OTHER_KEY = "fedcba9876"
DAY = 86400


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("made"))


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def extract(data, store, out, **options):
    assert main(words(data, store, out, **options)) == 0


@pytest.fixture
def filled(data, store, tmp_path):
    """A store of one entry, whose first user's results are at tmp_path/first.parquet."""
    extract(data, store, tmp_path / "first.parquet")
    return store


# sharing


def test_the_second_takes_what_the_first_computed(data, store, tmp_path, capsys):
    extract(data, store, tmp_path / "first.parquet")
    assert "put into the store" in capsys.readouterr().err
    extract(data, store, tmp_path / "second.parquet")
    told = capsys.readouterr().err
    assert "from the store" in told
    assert "put into" not in told
    assert (tmp_path / "second.parquet").samefile(tmp_path / "first.parquet")


def test_without_a_store_the_features_are_the_same_bytes(data, filled, tmp_path):
    plain = words(data, filled, tmp_path / "plain.parquet")
    del plain[plain.index("--store") : plain.index("--store") + 2]
    assert main(plain) == 0
    assert (tmp_path / "plain.parquet").read_bytes() == (tmp_path / "first.parquet").read_bytes()


def test_an_entry_says_what_it_is(data, filled):
    (entry,) = entries(Mount(filled))
    about = entry.manifest
    assert {name: about[name] for name in ("representation", "group", "key", "dataset", "dtype")} == {
        "representation": "stats",
        "group": "attn1",
        "key": KEY,
        "dataset": "made",
        "dtype": "float32",
    }
    assert about["adapters"] == 12
    assert about["bytes"] == the_object(filled).stat().st_size
    assert about["versions"]["numpy"] == np.__version__
    assert {"weights", "fit", "code", "created", "device", "data"} <= set(about)


def test_where_links_cross_file_systems_the_results_point_into_the_store(data, filled, tmp_path, monkeypatch):
    def no_link(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(mount.os, "link", no_link)
    extract(data, filled, tmp_path / "second.parquet")
    assert (tmp_path / "second.parquet").is_symlink()
    extract(data, tmp_path / "other", tmp_path / "third.parquet")
    assert (tmp_path / "third.parquet").resolve() == the_object(tmp_path / "other")


def test_where_nothing_can_be_linked_it_is_copied(data, filled, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(mount.os, "link", refuse)
    monkeypatch.setattr(mount.os, "symlink", refuse)
    extract(data, filled, tmp_path / "second.parquet")
    assert (tmp_path / "second.parquet").read_bytes() == the_object(filled).read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_two_processes_at_once_compute_it_once(data, store, tmp_path):
    """Both are held at the lock until both wait for it, so that they do run at the same time."""
    inputs = feature_inputs(data, "attn1", None)
    folder = store / feature_address("stats", KEY, "attn1", inputs).folder
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        running = [start(*words(data, store, tmp_path / f"{name}.parquet")) for name in "ab"]
        waiting = [process.stderr.readline() for process in running]
    assert all("another run computes it; waiting" in line for line in waiting)
    told = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sorted(("put into the store" in text, "from the store" in text) for text in told) == [
        (False, True),
        (True, False),
    ]
    assert (tmp_path / "a.parquet").samefile(tmp_path / "b.parquet")


# what is never shared


def addresses_of(data, **changes):
    names = {"representation": "stats", "key": KEY, "group": "attn1"} | changes
    return feature_address(inputs=feature_inputs(data, names["group"], None), **names)


def test_other_weights_have_another_address_though_their_key_is_the_same(data, tmp_path, filled, capsys):
    other = make_data(tmp_path / "other", seed=1)
    assert addresses_of(other) != addresses_of(data)
    capsys.readouterr()
    extract(other, filled, tmp_path / "other.parquet")
    assert "from the store" not in capsys.readouterr().err
    assert len(entries(Mount(filled))) == 2


@pytest.mark.parametrize("change", [{"representation": "spectral"}, {"key": OTHER_KEY}, {"group": "attn2"}])
def test_another_representation_key_or_group_has_another_address(data, change):
    assert addresses_of(data, **change) != addresses_of(data)


def test_another_fit_has_another_address(data, tmp_path):
    weights = GroupWeights.open(data, "attn1")
    found = set()
    for adapters in (8, 10):
        fit(weights, "delta_gram", np.arange(adapters), tmp_path / f"{adapters}.safetensors")
        inputs = feature_inputs(data, "attn1", tmp_path / f"{adapters}.safetensors")
        found.add(feature_address("delta_gram", KEY, "attn1", inputs))
    assert len(found) == 2


def test_one_other_weight_of_one_adapter_is_another_address(data, tmp_path):
    """A study's key may miss it: of large files it sees samples."""
    factors = random_factors(12)
    down, _ = factors[LAYERS[0]]
    down[7, 0, 3] += 1e-6
    labels = [f"c{index % 3}" for index in range(12)]
    other, _ = make_data_set(tmp_path, factors, labels)
    assert addresses_of(other) != addresses_of(data)


def test_the_store_is_in_no_key():
    def keys(**settings):
        plan = Plan(load_config({"dataset": "five", "datasets": {"five": {"source": "sanity"}}, **settings}))
        return plan.feature_key("five", "stats"), plan.key()

    assert keys() == keys(features_dir="/shared/features")


# faults

KILL = (
    "import os, signal, lorascope.store.mount as mount\ndef kill(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
)
MOMENTS = {
    "half of the file is copied": (
        "def no_link(*_): raise OSError(18, 'cross-device')\n"
        "def half(source, target):\n"
        "    target.write_bytes(source.read_bytes()[:1000])\n"
        "    kill()\n"
        "mount.os.link, mount.shutil.copyfile = no_link, half"
    ),
    "the file is there and the manifest is not": "mount.Mount.write = kill",
    "the manifest is written and not at its place": (
        "import lorascope.files as files\n"
        "def half(path, content):\n"
        "    with files.atomic_path(path) as temp:\n"
        "        temp.write_bytes(content)\n"
        "        kill()\n"
        "mount.write_bytes = half"
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9_while_publishing_leaves_no_half_entry(data, store, tmp_path, moment, capsys):
    killed = start(*words(data, store, tmp_path / "first.parquet"), before=KILL + MOMENTS[moment])
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert files_of(store)
    assert not [entry for entry in entries(Mount(store)) if entry.manifest]
    extract(data, store, tmp_path / "second.parquet")
    assert "put into the store" in capsys.readouterr().err
    assert {path.name for path in files_of(store)} == {"manifest.json", the_object(store).name}
    assert main(["store", "verify", str(store)]) == 0


def make_wrong(store, kind):
    manifest, file = next(store.rglob("manifest.json")), the_object(store)
    match kind:
        case "byte":
            damage(file)
        case "truncated":
            content = file.read_bytes()[:-7]
            file.unlink()
            file.write_bytes(content)
        case "lost":
            file.unlink()
        case "manifest":
            manifest.write_text("{")
        case "other":
            manifest.write_text(manifest.read_text().replace(KEY, OTHER_KEY))


@pytest.mark.parametrize("kind", ["byte", "truncated", "lost", "manifest", "other"])
def test_a_damaged_entry_is_named_put_aside_and_made_again(data, filled, tmp_path, kind, capsys):
    expected = the_object(filled).read_bytes()
    make_wrong(filled, kind)
    assert main(["store", "verify", str(filled)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert f"stats/{KEY}/attn1." in lines[0]
    extract(data, filled, tmp_path / "second.parquet")
    warning = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("warning"))
    assert f"stats/{KEY}/attn1." in warning
    assert warning.endswith("put aside and computed again")
    assert the_object(filled).read_bytes() == (tmp_path / "second.parquet").read_bytes() == expected
    assert [path for path in files_of(filled) if path.suffix == ".damaged"]
    assert main(["store", "verify", str(filled)]) == 0


# Root passes every permission; without these capabilities it is a user like any other.
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"] if os.geteuid() == 0 else []


def test_a_store_that_cannot_be_written_costs_the_sharing_alone(data, store, tmp_path):
    store.mkdir(mode=0o555)
    process = start(*words(data, store, tmp_path / "features.parquet"), prefix=BOUND)
    told = process.communicate()[1]
    assert process.returncode == 0, told
    (warning,) = [line for line in told.splitlines() if line.startswith("warning")]
    assert "cannot be written (Permission denied)" in warning
    assert (tmp_path / "features.parquet").stat().st_size
    assert not files_of(store)


def test_a_store_that_may_only_be_read_is_pointed_to(data, filled, tmp_path):
    subprocess.run(["chmod", "-R", "a-w", filled], check=True)
    process = start(*words(data, filled, tmp_path / "second.parquet"), prefix=BOUND)
    told = process.communicate()[1]
    assert process.returncode == 0, told
    assert "from the store" in told
    # No hard link: snakemake takes a read-only file for one that must never be made again.
    assert (tmp_path / "second.parquet").resolve() == the_object(filled)


def test_a_store_that_cannot_be_read_is_an_error(data, filled, tmp_path):
    next(filled.rglob("manifest.json")).chmod(0)
    process = start(*words(data, filled, tmp_path / "second.parquet"), prefix=BOUND)
    told = process.communicate()[1]
    assert process.returncode == 2
    assert "cannot be read (Permission denied)" in told.splitlines()[-1]


def test_a_full_store_costs_the_sharing_alone(data, store, tmp_path, monkeypatch, capsys):
    def full(self, path, name):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Mount, "publish", full)
    extract(data, store, tmp_path / "first.parquet")
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert (tmp_path / "first.parquet").exists()


@pytest.mark.parametrize("name", COMPUTING)
def test_what_computed_elsewhere_otherwise_is_reported(data, filled, tmp_path, capsys, name):
    manifest = next(filled.rglob("manifest.json"))
    here = recorded_versions(json.loads(manifest.read_text()))[name]
    manifest.write_text(manifest.read_text().replace(f'"{name}": "{here}"', f'"{name}": "another"'))
    extract(data, filled, tmp_path / "second.parquet")
    assert f"note: computed with {name} another (here {here})\n" in capsys.readouterr().err


# locks


def test_a_lease_serves_where_the_file_system_has_no_flock(tmp_path, monkeypatch):
    def no_flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", no_flock)
    path = tmp_path / "entry" / ".lock"
    with lock.hold(path, lambda: None) as held:
        assert held
        with lock.hold(path, None) as again:
            assert not again
    with lock.hold(path, None) as after:
        assert after


def test_a_lease_that_is_renewed_is_kept_and_one_that_is_not_is_taken(tmp_path):
    path, order = tmp_path / "lease", []

    def second():
        with lock.lease(path, lambda: order.append("waits"), seconds=2):
            order.append("second")

    with lock.lease(path, None, seconds=0.4):
        other = threading.Thread(target=second)
        other.start()
        time.sleep(3)
        order.append("first")
    other.join()
    assert order == ["waits", "first", "second"]
    path.touch()  # of a holder that was killed
    with lock.lease(path, lambda: None, seconds=0.4) as held:
        assert held


def test_a_lock_file_that_was_removed_meanwhile_locks_nothing(tmp_path):
    path, order = tmp_path / "entry" / ".lock", []

    def second():
        with lock.hold(path, lambda: order.append("waits")) as held:
            order.append((held, path.exists()))

    with lock.hold(path, None):
        other = threading.Thread(target=second)
        other.start()
        while not order:
            time.sleep(0.01)
        path.unlink()
        path.parent.rmdir()
    other.join()
    assert order == ["waits", (True, True)]


# the command


def publish_unused(data, store, tmp_path):
    """Put an entry under another key into the store; return its folder."""
    other = words(data, store, tmp_path / "unused.parquet")
    other[other.index(KEY)] = OTHER_KEY
    assert main(other) == 0
    (folder,) = (store / "stats" / OTHER_KEY).iterdir()
    return folder


def age(folder: Path, seconds: float) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2)


@pytest.fixture
def study(tmp_path):
    """A results folder that refers to KEY alone."""
    (tmp_path / "results/made/features/stats" / KEY).mkdir(parents=True)
    return tmp_path / "results"


def gc(store, *arguments):
    assert main(["store", "gc", str(store), *map(str, arguments)]) == 0


def test_gc_tells_without_delete_and_removes_with_it(data, filled, study, tmp_path, capsys):
    unused = publish_unused(data, filled, tmp_path)
    age(filled, DAY + 60)
    before = files_of(filled)
    capsys.readouterr()
    gc(filled, "--study", study)
    assert "would be removed" in capsys.readouterr().out
    assert files_of(filled) == before
    gc(filled, "--study", study, "--delete")
    out = capsys.readouterr().out
    assert f"stats/{OTHER_KEY}/attn1." in out
    assert f"stats/{KEY}" not in out
    assert not unused.parent.exists()
    assert [entry.address.key for entry in entries(Mount(filled)) if entry.manifest] == [KEY]
    assert (tmp_path / "unused.parquet").exists()


def test_gc_spares_what_is_young_or_locked(data, filled, study, tmp_path, capsys):
    unused = publish_unused(data, filled, tmp_path)
    gc(filled, "--study", study, "--delete")
    assert unused.exists()
    age(filled, DAY + 60)
    with lock.hold(unused / ".lock", None) as held:
        assert held
        gc(filled, "--study", study, "--delete")
    assert unused.exists()
    assert "a run is at it" in capsys.readouterr().out
    gc(filled, "--study", study, "--delete", "--hours", "48")
    assert unused.exists()


def test_gc_removes_the_rests_of_killed_and_damaged_entries(data, filled, study, tmp_path):
    make_wrong(filled, "byte")
    extract(data, filled, tmp_path / "second.parquet")
    half = filled / "stats" / KEY / "attn2.0123456789abcdef"
    half.mkdir()
    (half / f"{'0' * 64}.parquet").write_bytes(b"half")
    age(filled, DAY + 60)
    gc(filled, "--study", study, "--delete")
    assert {path.name for path in files_of(filled)} == {"manifest.json", the_object(filled).name}


def test_gc_touches_nothing_that_no_store_made(study, tmp_path):
    file = tmp_path / "home/some/deep/folder/file"
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    gc(tmp_path / "home", "--study", study, "--hours", "0", "--delete")
    assert file.exists()


def test_gc_knows_a_study_by_its_config(data, filled, tmp_path, capsys):
    (tmp_path / "study.yaml").write_text("dataset: sanity\nrepresentations: [stats]\n")
    from lorascope.study.references import referenced_keys

    plan = Plan(load_config({"dataset": "sanity", "datasets": {"sanity": {"source": "sanity"}}}))
    keys = referenced_keys(str(tmp_path / "study.yaml"))
    assert plan.feature_key("sanity", "stats") in keys
    gc(filled, "--study", tmp_path / "study.yaml", "--hours", "0")
    assert f"stats/{KEY}" in capsys.readouterr().out


def test_ls_lists_what_is_whole(data, filled, capsys):
    capsys.readouterr()
    assert main(["store", "ls", str(filled), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["representation"], row["group"], row["dataset"], row["adapters"]) == (
        "stats",
        "attn1",
        "made",
        12,
    )
    assert main(["store", "ls", str(filled)]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("stats", "attn1", "made", "12", KEY, "1 entry"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ls", "{}/nowhere"], "no such folder"),
        (["ls", "http://host/x"], "is no s3://bucket/prefix"),
        (["gc", "{}", "--study", "{}/nowhere"], "no such file or folder"),
        (["gc", "{}", "--study", "{}"], "no features of a study here"),
        (["gc", "{}", "--study", "{}", "--hours", "-1"], "--hours -1: give zero or more"),
        (["gc", "{}", "--study", "{}", "--hours", "nan"], "--hours nan: give zero or more"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(tmp_path, capsys, arguments, message):
    assert main(["store", *(word.format(tmp_path) for word in arguments)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_gc_wants_a_study(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["store", "gc", str(tmp_path)])
    assert stop.value.code == 2
    assert "--study" in capsys.readouterr().err


def test_a_store_wants_a_key(data, store, tmp_path, capsys):
    arguments = words(data, store, tmp_path / "x.parquet")
    arguments[arguments.index(KEY)] = ""
    assert main(arguments) == 2
    assert "give --key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{}/mount/features", "there is no folder .*/mount; mount or make it"),
        ("{}/file", "is not a folder"),
        ("ftp://host/x", "is no s3://bucket/prefix"),
        ("s3://", "is no s3://bucket/prefix"),
    ],
)
def test_what_cannot_be_a_store_is_refused_before_anything_runs(tmp_path, refused, place, message):
    (tmp_path / "file").write_text("")
    with refused(message):
        check_place(place.format(tmp_path))


def test_addresses_survive_the_way_through_a_folder_name():
    address = Address("delta_gram", KEY, "down_blocks.0.attn1", "0123456789abcdef")
    assert address_of(address.folder) == address
    assert address_of("results/zoo/features") is None
