"""Source `folder`: every family, every kind of label table, what is rejected and why, equal updates."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from adapter_folder import (
    CLASSES,
    LAYERS,
    SIZE,
    factors,
    write_diffusers,
    write_kohya,
    write_peft,
    write_tree,
)
from data_sets import folder_fingerprint
from lorascope.cli import main
from lorascope.data.labels import duplicate_sets, label_adapters
from lorascope.data.prepare import FINGERPRINT, prepare
from lorascope.data.same_update import same_updates, sketch_updates
from lorascope.data.sources import open_source, source_fingerprint, source_layers
from lorascope.data.split import SplitSettings
from lorascope.data.weights import GroupWeights
from lorascope.files import read_json, read_table, write_table
from lorascope.study.config import load_dataset


def settings(root, **changed):
    return load_dataset({"source": "folder", "path": str(root), **changed}, "mine")


def laid_out(root, out, processes=1, **changed):
    source = open_source(settings(root, **changed), work_dir=out, processes=processes)
    prepare(source, "mine", "attention", out)
    return read_table(out / "source.parquet")


def rejected(out):
    return {row["file"]: row["reason"] for row in csv.read_csv(out / "rejected.csv").to_pylist()}


def updates(out, group="attn1"):
    """Return matrix pairs multiplied out, layer → [n, d_out, d_in]."""
    weights = GroupWeights.open(out, group)
    found = {m.name: weights.read(i, 0, weights.n_adapters).copy() for i, m in enumerate(weights.matrices)}
    layers = {matrix.layer for matrix in weights.matrices}
    return {layer: found[f"{layer}.up"] @ found[f"{layer}.down"] for layer in layers}


def test_families_and_ranks_come_out_as_the_same_updates(tmp_path):
    written = write_tree(tmp_path / "tree", 5)
    table = laid_out(tmp_path / "tree", tmp_path / "out")
    assert table["adapter"].to_pylist() == [file for file, _ in written]
    assert table["label"].to_pylist() == [label for _, label in written]
    assert set(table["family"].to_pylist()) == {"diffusers", "kohya-ss", "PEFT"}
    assert set(table["rank"].to_pylist()) == {1, 2}
    for layer, found in updates(tmp_path / "out").items():
        for row, (file, label) in enumerate(written):
            index = int(file.split("/")[1][:3])
            down, up = factors(index, label, 1 + index % 2)[layer]
            np.testing.assert_allclose(found[row], up @ down, atol=1e-5)
    assert rejected(tmp_path / "out") == {}


def test_a_plan_knows_layers_and_fingerprint_without_reading_weights(tmp_path):
    write_tree(tmp_path, 2)
    assert source_layers(settings(tmp_path)) == sorted(LAYERS)
    before = source_fingerprint(settings(tmp_path))
    assert before == folder_fingerprint(tmp_path)
    (tmp_path / "cat/000.safetensors").touch()
    assert source_fingerprint(settings(tmp_path)) == before
    write_diffusers(tmp_path / "cat/000.safetensors", factors(99, "cat"))
    assert source_fingerprint(settings(tmp_path)) != before


def test_a_table_of_labels_outside_the_folder_counts_too(tmp_path):
    write_tree(tmp_path / "tree", 1)
    (tmp_path / "labels.csv").write_text("path,label\na,b\n")
    mine = settings(tmp_path / "tree", labels="../labels.csv")
    before = source_fingerprint(mine)
    (tmp_path / "labels.csv").write_text("path,label\na,c\n")
    assert source_fingerprint(mine) != before


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_labels_come_from_a_table(tmp_path, suffix):
    written = write_tree(tmp_path / "tree", 2)
    table = pa.table(
        {
            "file": [f"./{file}" for file, _ in reversed(written)],
            "kind": [label.upper() for _, label in reversed(written)],
            "steps": list(range(len(written))),
        }
    )
    path = tmp_path / "tree" / f"labels{suffix}"
    if suffix == ".parquet":
        write_table(path, table)
    else:
        csv.write_csv(table, path, csv.WriteOptions(delimiter="," if suffix == ".csv" else "\t"))
    mine = {"labels": path.name, "path_column": "file", "label": "kind"}
    found = laid_out(tmp_path / "tree", tmp_path / "out", **mine)
    assert found["kind"].to_pylist() == [label.upper() for _, label in written]
    assert found["steps"].to_pylist() == list(reversed(range(len(written))))


def test_a_class_may_look_like_a_number_or_like_nothing(tmp_path):
    written = write_tree(tmp_path / "tree", 1)
    names = ["007", "NA", "1e3"]
    rows = [f"{file},{name}" for (file, _), name in zip(written, names, strict=True)]
    (tmp_path / "tree/labels.csv").write_text("\n".join(["path,label", *rows]))
    table = laid_out(tmp_path / "tree", tmp_path / "out", labels="labels.csv")
    assert table["label"].to_pylist() == names


def break_some(root):
    """Put files that cannot be used beside good ones; return file → a word of the reason."""
    good = factors(500, "cat")
    (root / "cat/text.safetensors").write_text("not at all")
    whole = (root / "cat/000.safetensors").read_bytes()
    (root / "cat/cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (root / "cat/old.pt").write_bytes(b"a pickle")
    write_diffusers(root / "cat/few.safetensors", {layer: good[layer] for layer in LAYERS[:3]})
    write_diffusers(
        root / "cat/many.safetensors", {**good, LAYERS[0].replace("0.attn1", "1.attn1"): good[LAYERS[0]]}
    )
    write_diffusers(root / "cat/wide.safetensors", {k: (np.tile(a, 2), b) for k, (a, b) in good.items()})
    spoilt = {**good, LAYERS[2]: (good[LAYERS[2]][0] * np.nan, good[LAYERS[2]][1])}
    write_diffusers(root / "cat/nan.safetensors", spoilt)
    write_diffusers(root / "cat/deep.safetensors", factors(501, "cat", rank=6))
    write_diffusers(root / "loose.safetensors", good)
    return {
        "cat/text.safetensors": "",
        "cat/cut.safetensors": "",
        "cat/old.pt": "",
        "cat/few.safetensors": "lacks 5 layer",
        "cat/many.safetensors": "has 1 attention layer",
        "cat/wide.safetensors": r"is \(12, 24\) where most files have \(12, 12\)",
        "cat/nan.safetensors": "NaN or infinite",
        "cat/deep.safetensors": "rank 6 is above max_rank",
        "loose.safetensors": "in no folder",
    }


def test_what_cannot_be_used_is_listed_by_name_and_the_rest_is_used(tmp_path):
    import re

    written = write_tree(tmp_path / "tree", 4)
    expected = break_some(tmp_path / "tree")
    out = tmp_path / "out"
    table = laid_out(tmp_path / "tree", out, max_rejected=0.5, max_rank=4)
    assert table["adapter"].to_pylist() == [file for file, _ in written]
    found = rejected(out)
    assert found.keys() == expected.keys()
    for file, reason in found.items():
        assert re.search(expected[file], reason)
        assert reason
        assert str(tmp_path) not in reason
    assert read_json(out / "source.json")["source"]["rejected"] == len(expected)


def test_labels_without_a_file_and_files_without_a_label_are_listed(tmp_path):
    written = write_tree(tmp_path / "tree", 4)
    rows = [f"{file},{label}" for file, label in written[1:]]
    rows[0] = f"{written[1][0]},"
    rows += ["cat/gone.safetensors,cat", "../secret.safetensors,cat", "notes.txt,cat"]
    (tmp_path / "tree/notes.txt").write_text("hello")
    (tmp_path / "tree/labels.csv").write_text("\n".join(["path,label", *rows]))
    table = laid_out(tmp_path / "tree", tmp_path / "out", labels="labels.csv", max_rejected=0.4)
    assert table.num_rows == len(written) - 2
    assert rejected(tmp_path / "out") == {
        written[0][0]: "no row in labels.csv",
        written[1][0]: "no label in labels.csv",
        "cat/gone.safetensors": "named by the labels, but there is no such file",
        "../secret.safetensors": "named by the labels, but outside the folder",
        "notes.txt": "not an adapter file",
    }


def test_links_that_lead_out_are_listed(tmp_path):
    write_tree(tmp_path / "tree", 2)
    write_diffusers(tmp_path / "elsewhere.safetensors", factors(1, "cat"))
    (tmp_path / "tree/cat/link.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    laid_out(tmp_path / "tree", tmp_path / "out", max_rejected=0.5)
    assert rejected(tmp_path / "out") == {"cat/link.safetensors": "a link that leads out of the folder"}


def test_too_many_rejected_files_end_the_run_but_are_listed(tmp_path, refused):
    write_tree(tmp_path / "tree", 4)
    expected = break_some(tmp_path / "tree")
    with refused(r"9 of 21 files rejected, more than max_rejected \(0.2\)"):
        laid_out(tmp_path / "tree", tmp_path / "out", max_rejected=0.2, max_rank=4)
    assert rejected(tmp_path / "out").keys() == expected.keys()


def test_processes_and_kills_change_nothing(tmp_path, monkeypatch):
    from lorascope.data.sources import folder_parts

    monkeypatch.setattr(folder_parts, "PART_FILES", 4)
    write_tree(tmp_path / "tree", 4)
    one, two = tmp_path / "one", tmp_path / "two"
    laid_out(tmp_path / "tree", one)
    laid_out(tmp_path / "tree", two, processes=2)
    for name in ("weights/attn1.npy", "weights/attn2.npy", "rejected.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    parts = sorted((one / "parts").iterdir())
    assert len(parts) == 3
    parts[1].unlink()
    read = []
    original = folder_parts.read_adapter
    monkeypatch.setattr(folder_parts, "read_adapter", lambda path: read.append(path) or original(path))
    laid_out(tmp_path / "tree", one)
    assert len(read) == 4
    assert (one / "weights/attn1.npy").read_bytes() == (two / "weights/attn1.npy").read_bytes()


def test_a_part_is_not_used_for_changed_files(tmp_path):
    write_tree(tmp_path / "tree", 2)
    laid_out(tmp_path / "tree", tmp_path / "out")
    changed = factors(77, "cat")
    write_diffusers(tmp_path / "tree/cat/000.safetensors", changed)
    laid_out(tmp_path / "tree", tmp_path / "out")
    down, up = changed[LAYERS[0]]
    np.testing.assert_allclose(updates(tmp_path / "out")[LAYERS[0]][0], up @ down, atol=1e-6)


def test_equal_updates_are_found_in_any_family_and_basis_and_stay_in_one_part(tmp_path):
    root = tmp_path / "tree"
    write_tree(root, 12)
    twin = factors(0, "cat", rank=2)
    turned = {}
    change = np.array([[2.0, 1.0], [0.5, 3.0]], np.float32)
    for layer, (down, up) in twin.items():
        turned[layer] = change @ down, (up @ np.linalg.inv(change)).astype(np.float32)
    half = {layer: (a.astype(np.float16), b.astype(np.float16)) for layer, (a, b) in twin.items()}
    near = {layer: (down, 1.02 * up) for layer, (down, up) in twin.items()}
    write_diffusers(root / "cat/twin-a.safetensors", twin)
    write_kohya(root / "dog/twin-b.safetensors", turned)
    write_peft(root / "owl/twin-c", twin)
    write_diffusers(root / "owl/twin-d.safetensors", half)
    write_diffusers(root / "owl/other.safetensors", near)
    table = laid_out(root, tmp_path / "out")
    names = np.array(table["adapter"].to_pylist())
    (members,) = duplicate_sets(table[FINGERPRINT].to_numpy())
    assert {name.partition("/")[2][:6] for name in names[members]} == {"twin-a", "twin-b", "twin-c", "twin-d"}
    manifest = label_adapters(tmp_path / "out", "label", None, SplitSettings(), tmp_path / "labels")
    assert manifest["duplicates"] == [names[members].tolist()]
    split = np.array(read_table(tmp_path / "labels/adapters.parquet")["split"].to_pylist())
    assert len(set(split[members])) == 1


def test_sketches_tell_distances():
    rng = np.random.default_rng(0)
    base = [(rng.standard_normal((1, 2, SIZE)), rng.standard_normal((1, SIZE, 2))) for _ in range(4)]
    moved = [(a, b + 0.1 * rng.standard_normal(b.shape)) for a, b in base]
    distance = np.sqrt(sum(np.sum((b @ a - d @ c) ** 2) for (a, b), (c, d) in zip(base, moved, strict=True)))
    sketched = sketch_updates(base) - sketch_updates(moved)
    assert np.sqrt(np.mean(sketched**2)) == pytest.approx(distance, rel=0.4)


def test_many_empty_adapters_are_one_set_and_no_other():
    sketches = np.zeros((5000, 32))
    sketches[10] = 1
    assert len(set(same_updates(sketches).tolist())) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"path": "absent"}, "absent: no such folder"),
        ({"path": "empty"}, "no adapter file in this folder"),
        ({"path": "junk"}, "none of 1 files looked at can be read"),
        ({"labels": "absent.csv"}, "absent.csv: no such file"),
        ({"labels": "labels.txt"}, r"labels are read from .csv, .tsv or .parquet"),
        ({"labels": "bad.parquet"}, "not a readable parquet file"),
        ({"labels": "ragged.csv"}, "not a readable table"),
        ({"labels": "good.csv", "path_column": "file"}, "no column 'file'; there are: path, label"),
        ({"labels": "good.csv", "label": "kind"}, "no column 'kind'"),
        ({"labels": "twice.csv"}, "rows 0 and 1 are both of cat/000.safetensors"),
        ({"labels": "hole.csv"}, "column 'path' is empty in row 1"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, refused, changed, message):
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "tree", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk/a.safetensors").write_text("junk")
    (tmp_path / "tree/bad.parquet").write_text("junk")
    (tmp_path / "tree/ragged.csv").write_text("path,label\na,b,c\n")
    (tmp_path / "tree/good.csv").write_text("path,label\ncat/000.safetensors,cat\n")
    (tmp_path / "tree/twice.csv").write_text(
        "path,label\ncat/000.safetensors,cat\n./cat/000.safetensors,cat\n"
    )
    (tmp_path / "tree/hole.csv").write_text('path,label\ncat/000.safetensors,cat\n,"dog"\n')
    with refused(message):
        laid_out(**{"root": changed.pop("path", "tree"), "out": tmp_path / "out", **changed})


def test_the_command_says_what_was_rejected_and_tidies_up(tmp_path, capsys):
    write_tree(tmp_path / "tree", 8)
    (tmp_path / "tree/cat/text.safetensors").write_text("not at all")
    entry = f'{{"source": "folder", "path": "{tmp_path}/tree"}}'
    out = tmp_path / "out"
    assert main(["prepare", "--dataset", "mine", "--settings", entry, "--out", str(out)]) == 0
    assert f"1 of {8 * len(CLASSES) + 1} files rejected: {out}/rejected.csv" in capsys.readouterr().err
    assert not (out / "parts").exists()
