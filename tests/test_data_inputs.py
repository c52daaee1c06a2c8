"""A source that changed where no sample is taken: one line that names the file, and no old result."""

import json
import os
import shutil

import pytest

import lorascope.data.fingerprint
from lorascope import cli
from lorascope.data import inputs
from lorascope.data.fingerprint import STRIDE, WHOLE, SourceFile, folder_files
from lorascope.data.inputs import check_inputs, check_unchanged, fingerprint_by, record
from lorascope.data.sources import source_fingerprint
from lorascope.data.weights import GroupWeights
from lorascope.errors import LorascopeError
from lorascope.files import read_json, write_json
from lorascope.sparse.images import open_images
from lorascope.sparse.sources import image_files
from lorascope.study.config import load_config
from lorascope.study.plan import Plan
from lorascope.study.sparse_plan import SparsePlan

SIZE = 40 * 2**20
BETWEEN = 20 * STRIDE + 100_000


@pytest.fixture
def source(tmp_path):
    """A folder of one large file and a small one, both written a while ago."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/notes.txt").write_text("as they were")
    with (tmp_path / "source/data.arrow").open("wb") as opened:
        opened.truncate(SIZE)
    settle(tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """No test waits until its files are old enough to be trusted; one test is about that."""
    monkeypatch.setattr(inputs, "_TICK_SECONDS", -3600)


def settle(folder):
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))


def edit(path, position=BETWEEN, content=b"x"):
    with path.open("r+b") as opened:
        opened.seek(position)
        opened.write(content)


@pytest.fixture
def laid_out(source, tmp_path):
    """The folder of a key, with the record of the source."""
    folder = tmp_path / "results/mine/data/0123456789"
    write_json(folder / "source.json", {"files": record(folder_files(source))})
    return folder


@pytest.fixture
def reads(monkeypatch):
    """The files that were read whole."""
    read = []
    digest = lorascope.data.fingerprint.file_digest

    def counted(path):
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr(inputs, "file_digest", counted)
    monkeypatch.setattr(lorascope.data.fingerprint, "file_digest", counted)
    return read


def test_a_change_between_samples_is_found_and_named(source, laid_out, refused):
    check_inputs(laid_out)
    before = fingerprint_by(folder_files(source), laid_out.parent)
    edit(source / "data.arrow")
    assert fingerprint_by(folder_files(source), laid_out.parent) == before
    with refused(rf"{source}/data.arrow: changed since .*; remove .*results/mine and run again"):
        check_inputs(laid_out)
    edit(source / "data.arrow", content=b"\0")
    check_inputs(laid_out)


def test_a_change_that_has_another_key_is_no_error(source, laid_out):
    edit(source / "data.arrow", 0)
    edit(source / "notes.txt", 0)
    check_inputs(laid_out)


def test_what_is_gone_or_was_not_recorded_is_no_error(source, laid_out, tmp_path):
    check_inputs(tmp_path)
    write_json(tmp_path / "source.json", {"adapters": 3})
    check_inputs(tmp_path)
    shutil.rmtree(source)
    check_inputs(laid_out)


def test_nothing_is_read_that_is_known(source, laid_out, reads):
    before = fingerprint_by(folder_files(source), "nowhere")
    assert reads == ["notes.txt"]
    assert fingerprint_by(folder_files(source), laid_out.parent) == before
    check_inputs(laid_out)
    assert reads == ["notes.txt"]
    edit(source / "notes.txt", 0)
    assert fingerprint_by(folder_files(source), laid_out.parent) != before


def test_a_touched_file_is_read_once(source, laid_out, reads):
    settle(source)
    os.utime(source / "data.arrow")
    check_inputs(laid_out)
    check_inputs(laid_out)
    assert reads == ["data.arrow"]
    (laid_out / "seen.json").write_text("{")
    check_inputs(laid_out)
    assert reads == ["data.arrow"] * 2


def test_an_edit_that_sets_the_time_back_is_found(source, laid_out, refused):
    times = (source / "data.arrow").stat()
    edit(source / "data.arrow")
    os.utime(source / "data.arrow", ns=(times.st_atime_ns, times.st_mtime_ns))
    with refused("data.arrow: changed since"):
        check_inputs(laid_out)


def test_a_file_written_just_now_is_not_trusted_by_its_times(source, monkeypatch):
    monkeypatch.setattr(inputs, "_TICK_SECONDS", 3600)
    assert {entry["state"] for entry in record(folder_files(source)).values()} == {None}
    monkeypatch.setattr(inputs, "_TICK_SECONDS", -3600)
    assert None not in [entry["state"] for entry in record(folder_files(source)).values()]


def test_the_record_tells_a_file_that_changed_while_it_was_read(source, refused):
    recorded = record(folder_files(source))
    check_unchanged(recorded)
    os.utime(source / "notes.txt")
    check_unchanged(recorded)
    edit(source / "notes.txt", 0)
    with refused("notes.txt: changed while it was read"):
        check_unchanged(recorded)
    (source / "notes.txt").unlink()
    with refused("notes.txt: changed while it was read"):
        check_unchanged(recorded)


def test_a_large_table_of_labels_is_whole_in_the_fingerprint(source, tmp_path):
    files = {"data.arrow": SourceFile(source / "data.arrow", whole=True)}
    before = fingerprint_by(files, tmp_path)
    edit(source / "data.arrow")
    assert fingerprint_by(files, tmp_path) != before


def test_a_damaged_record_makes_no_plan_fail(source, laid_out):
    (laid_out / "source.json").write_text("{")
    check_inputs(laid_out)
    assert fingerprint_by(folder_files(source), laid_out.parent)


def test_images_are_held_to_the_same(tmp_path, source, refused):
    images = {"source": "disk", "path": str(source)}
    settings = {"results": str(tmp_path / "results"), "sparse": {"images": images}}
    settings |= {"dataset": "five", "datasets": {"five": {"source": "sanity"}}}
    plan = SparsePlan(load_config(settings))
    write_json(f"{plan.images}/manifest.json", {"files": record(image_files(plan.image_settings))})
    assert SparsePlan(load_config(settings)).images == plan.images
    edit(source / "data.arrow")
    with refused("data.arrow: changed since .*; remove .*results/sparse/disk and run again"):
        assert SparsePlan(load_config(settings)).images
    with refused("data.arrow: changed since"):
        open_images(plan.images)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A data set on disk whose weights are one large file, laid out as its plan says."""
    import published

    monkeypatch.chdir(tmp_path)
    weights = published.make_weights(60, published.SD15)
    published.make_dataset(weights).save_to_disk("set")
    (data,) = (tmp_path / "set").glob("*.arrow")
    assert data.stat().st_size >= WHOLE
    settle(tmp_path / "set")
    config = {"dataset": "mine", "datasets": {"mine": {"source": "disk", "path": "set"}}}
    plan = Plan(load_config(config))
    folder = plan.data_folder("mine")
    settings = json.dumps(plan.settings("mine"))
    words = ["prepare", "--dataset", "mine", "--settings", settings, "--out", folder]
    assert cli.main([*words, "--fingerprint", plan.fingerprint("mine")]) == 0
    return config, data, words


def test_plans_and_steps_refuse_old_weights(study, refused, capsys):
    config, data, words = study
    folder = Plan(load_config(config)).data_folder("mine")
    recorded = read_json(f"{folder}/source.json")["files"]
    assert set(recorded) == {"dataset_info.json", "state.json", data.name}
    edit(data, data.stat().st_size // 2 // STRIDE * STRIDE + 500_000, b"\1\2\3\4")
    with refused(rf"{data.name}: changed since .*; remove results/mine and run again"):
        Plan(load_config(config)).check_dataset("mine")
    with pytest.raises(LorascopeError, match="remove results/mine"):
        GroupWeights.open(folder, "attn1")
    extract = [
        "extract",
        "--data",
        folder,
        "--group",
        "attn1",
        "--representation",
        "stats",
        "--out",
        "f.parquet",
    ]
    assert cli.main(extract) == 2
    assert capsys.readouterr().err.count("\n") <= 2
    shutil.rmtree("results/mine")
    assert cli.main(words) == 0
    assert cli.main(extract) == 0


def test_what_changed_between_plan_and_job_is_not_laid_out(study, capsys):
    config, data, words = study
    planned = source_fingerprint(config["datasets"]["mine"])
    edit(data, 0)
    assert cli.main([*words, "--fingerprint", planned]) == 2
    assert "set: changed since the run was planned; run snakemake again" in capsys.readouterr().err
