"""`predict` and `similar` on a study of adapter files: they say what the study itself said, and warn."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from adapter_folder import (
    CLASSES,
    LAYERS,
    SIZE,
    factors,
    write_diffusers,
    write_kohya,
    write_tree,
)
from in_process import run_study
from lorascope.adapters.files import read_adapter
from lorascope.cli import main
from lorascope.cli.prediction_cards import print_prediction
from lorascope.data.update_norms import update_norms
from lorascope.features.file_weights import fit_file, read_layout
from lorascope.files import read_json, read_table, write_table
from lorascope.probes.saved import load_probe
from lorascope.study.file_features import file_features, fit_files
from lorascope.study.finished import FinishedStudy
from lorascope.study.keep import keep_probes
from lorascope.study.predict import Calibration, calibrate, predict_files
from lorascope.study.similar import inner_products, mean_cosines, nearest

STUDY = "results/studies/default/mine"
# One of each kind: matrices, a combination, layers, layers fitted to the training part.
REPRESENTATIONS = ["stats", "ensemble", "delta_sketch", "delta_kernel", "delta_gram", "canonical", "pca"]
CONFIG = {
    "dataset": "mine",
    "datasets": {"mine": {"source": "folder", "path": "tree"}},
    "representations": REPRESENTATIONS,
    "layer_sets": ["all", "visual"],
    "probes": ["mlp", "ridge"],
    "seeds": 2,
    "mlp": {"hidden": [8], "epochs": 2},
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A finished study of files of three families and two ranks; the working directory is its own."""
    folder, before = tmp_path_factory.mktemp("predict"), Path.cwd()
    os.chdir(folder)
    write_tree(folder / "tree", 20)
    run_study(CONFIG)
    assert main(["keep", STUDY, "--out", "kept.json"]) == 0
    study = FinishedStudy(STUDY)
    for cell in study.cells():
        list(keep_probes(study, cell, "cpu", 1))
    yield folder
    os.chdir(before)


@pytest.fixture
def study(workdir):
    return FinishedStudy(STUDY)


def predict(study, cell, adapters):
    return predict_files(study, cell, fit_files(study, adapters, study.layers(cell.layer_set)))


def adapters_of(study, rows):
    return [read_adapter(f"tree/{name}") for name in study.adapters("adapter")["adapter"][rows]]


@pytest.mark.parametrize("probe", ["mlp", "ridge"])
@pytest.mark.parametrize("layer_set", ["all", "visual"])
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_every_test_adapter_gets_the_answer_of_the_study(study, representation, layer_set, probe):
    cell = study.choose(representation, layer_set, probe)
    stored = cell.probabilities("test", len(CLASSES))
    cards = predict(study, cell, adapters_of(study, study.part("test")))
    assert len(cards) == 12
    for card, answer in zip(cards, stored, strict=True):
        found = [card.probabilities[name] for name in study.classes]
        np.testing.assert_allclose(found, answer, atol=1e-4)
        assert card.predicted == study.classes[int(answer.argmax())]
        assert not card.warnings


def test_one_file_and_many_get_the_same_card(study):
    cell = study.choose("delta_kernel")
    files = adapters_of(study, study.part("test")[:3])
    together = predict(study, cell, files)
    for file, card in zip(files, together, strict=True):
        (alone,) = predict(study, cell, [file])
        assert alone.predicted == card.predicted
        np.testing.assert_allclose(
            list(alone.probabilities.values()), list(card.probabilities.values()), atol=1e-5
        )


def test_the_best_cell_answers_unless_another_is_named(study):
    best = study.choose()
    named = {name: getattr(best, name) for name in ("representation", "layer_set", "probe")}
    assert named == {name: value for name, value in study.results["best"].items() if name != "dataset"}
    assert study.choose(probe="ridge", layer_set="visual").layer_set == "visual"


def test_a_layer_decides_by_the_odds_that_the_class_loses_without_it(study):
    cell, files = study.choose("delta_sketch", "all", "mlp"), adapters_of(study, study.part("test")[:1])
    (card,) = predict(study, cell, files)
    assert {effect.layer for effect in card.layers} == set(LAYERS)
    losses = [effect.loss for effect in card.layers]
    assert losses == sorted(losses, reverse=True)
    probes, named = study.probes(cell), study.classes.index(card.predicted)
    columns = probes[0].card.columns
    features = file_features(study, "delta_sketch", columns, fit_files(study, files, LAYERS))
    mine = [column.startswith(card.layers[0].layer + ".") for column in columns]
    changed = np.where(mine, probes[0].scaling.mean.astype(np.float32), features)
    p, q = (np.mean([probe.predict(x)[0, named] for probe in probes]) for x in (features, changed))
    assert p < 0.999
    assert card.layers[0].loss == pytest.approx(np.log(p / (1 - p)) - np.log(q / (1 - q)), rel=1e-4)


def card_of(study, path, **names):
    (card,) = predict(
        study, study.choose(**{"representation": "delta_sketch", **names}), [read_adapter(path)]
    )
    return card


def test_a_new_file_of_a_known_kind_gets_no_warning(study, tmp_path):
    write_diffusers(tmp_path / "new.safetensors", factors(900, "dog", rank=2))
    card = card_of(study, tmp_path / "new.safetensors")
    assert card.warnings == []
    assert card.predicted in card.conformal_set


def test_a_file_unlike_the_study_gets_warnings(study, tmp_path):
    good = factors(901, "dog")
    some = {layer: good[layer] for layer in LAYERS[:6]} | {
        "down_blocks.3.attentions.0.attn1.to_q": good[LAYERS[0]]
    }
    some["mid_block.resnets.0.conv1"] = good[LAYERS[0]]
    some[LAYERS[0]] = good[LAYERS[0]][0], 100 * good[LAYERS[0]][1]
    some[LAYERS[1]] = good[LAYERS[1]][0], 0.001 * good[LAYERS[1]][1]
    write_diffusers(tmp_path / "odd.safetensors", some)
    warnings = "\n".join(card_of(study, tmp_path / "odd.safetensors", layer_set="all").warnings)
    assert "2 layers of the study not in the file" in warnings
    assert "1 attention layer of the file unknown" in warnings
    assert "1 layer outside attn1 and attn2" in warnings
    assert "in 1 of 8 layers the update is over 2 times larger" in warnings
    # The two that are absent have no update at all.
    assert "in 3 of 8 layers the update is over 2 times smaller" in warnings


def test_layers_that_the_probe_does_not_see_are_no_surprise(study, tmp_path):
    write_diffusers(tmp_path / "new.safetensors", factors(902, "owl"))
    assert card_of(study, tmp_path / "new.safetensors", layer_set="visual").warnings == []


def test_a_higher_rank_is_cut_to_the_best_approximation(study, tmp_path):
    write_diffusers(tmp_path / "deep.safetensors", factors(903, "cat", rank=5))
    adapter = read_adapter(tmp_path / "deep.safetensors")
    layout = read_layout(study.data_folder / "layers.parquet")
    fitted = fit_file(adapter, layout["attn1"], LAYERS)
    layer = layout["attn1"][0].layer
    whole = adapter.layers[layer].up.astype(float) @ adapter.layers[layer].down
    left, values, right = np.linalg.svd(whole)
    best = (left[:, :2] * values[:2]) @ right[:2]
    np.testing.assert_allclose(
        fitted.matrices[f"{layer}.up"] @ fitted.matrices[f"{layer}.down"], best, atol=1e-5
    )
    assert fitted.norms[layer] == pytest.approx(np.linalg.norm(whole))
    assert "cut down to the study's rank" in card_of(study, tmp_path / "deep.safetensors").warnings[0]


def test_a_padded_file_is_not_said_to_be_cut(study, tmp_path):
    padded = {
        k: (np.vstack([a, 0 * a, 0 * a]), np.hstack([b, 0 * b, 0 * b]))
        for k, (a, b) in factors(904, "cat").items()
    }
    write_diffusers(tmp_path / "padded.safetensors", padded)
    assert card_of(study, tmp_path / "padded.safetensors").warnings == []


# similar


def test_cosines_are_those_of_the_whole_updates(study, tmp_path):
    write_kohya(tmp_path / "new.safetensors", factors(905, "owl", rank=2))
    (file,) = fit_files(study, [read_adapter(tmp_path / "new.safetensors")], LAYERS)
    expected = np.zeros(60)
    for layer, (down, up) in factors(905, "owl", rank=2).items():
        own = (up.astype(float) @ down).ravel()
        for row, adapter in enumerate(adapters_of(study, slice(None))):
            other = (adapter.layers[layer].up.astype(float) @ adapter.layers[layer].down).ravel()
            expected[row] += own @ other / np.linalg.norm(own) / np.linalg.norm(other) / len(LAYERS)
    np.testing.assert_allclose(mean_cosines(study, file), expected, atol=1e-6)
    found = nearest(study, file, 5)
    assert [neighbour.cosine for neighbour in found] == pytest.approx(np.sort(expected)[::-1][:5], abs=1e-6)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("scale", [1, 1e-15])
def test_products_and_norms_are_those_of_the_whole_updates(rank, scale):
    rng = np.random.default_rng(rank)
    down, up = (scale * rng.standard_normal(shape) for shape in ((7, rank, 9), (7, 11, rank)))
    down, up = down.astype(np.float32), up.astype(np.float32)
    whole = (up.astype(float) @ down).reshape(7, -1)
    products = inner_products(down, up, down[2], up[2])
    np.testing.assert_allclose(products, whole @ whole[2], rtol=1e-5, atol=1e-6 * np.abs(products).max())
    np.testing.assert_allclose(update_norms(down, up), np.linalg.norm(whole, axis=1), rtol=1e-6)


def test_an_adapter_of_the_study_is_nearest_to_itself(study, capsys):
    name = str(study.adapters("adapter")["adapter"][7])
    assert main(["similar", f"tree/{name}", "--study", STUDY, "-k", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["neighbours"]) == 3
    assert told["neighbours"][0]["adapter"] == name
    assert told["neighbours"][0]["cosine"] == pytest.approx(1, abs=1e-6)


# the commands


def test_predict_prints_a_card_for_each_file(study, capsys):
    names = study.adapters("adapter")["adapter"][study.part("test")[:2]]
    assert main(["predict", *(f"tree/{name}" for name in names), "--study", STUDY]) == 0
    shown = capsys.readouterr().out
    for name in names:
        assert f"tree/{name}" in shown
    assert shown.count("at 90% coverage, by 12 test adapters: ") == 2
    assert shown.count("layers that decided") == 2


def test_one_bad_file_does_not_silence_the_others(study, capsys, tmp_path):
    (tmp_path / "bad.safetensors").write_text("bad")
    name = study.adapters("adapter")["adapter"][0]
    words = [str(tmp_path / "bad.safetensors"), f"tree/{name}", "--study", STUDY]
    assert main(["predict", *words]) == 2
    told = capsys.readouterr()
    assert f"tree/{name}" in told.out
    assert "1 of 2 files have no card, the first: " in told.err
    assert told.err.count("\n") == 1
    assert main(["predict", *words, "--json"]) == 2
    good, bad = json.loads(capsys.readouterr().out)["files"]
    assert good["path"] == f"tree/{name}"
    assert "bad.safetensors" in bad["error"]


def test_predict_prints_json(study, capsys):
    name = study.adapters("adapter")["adapter"][0]
    words = ["--study", "default", "--representation", "delta_gram", "--probe", "ridge", "--json"]
    assert main(["predict", f"tree/{name}", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cell"]["representation"] == "delta_gram"
    assert (told["calibration"]["n"], told["calibration"]["unit"]) == (12, "adapter")
    assert 0 <= told["calibration"]["threshold"] <= 1
    (card,) = told["files"]
    assert sum(card["probabilities"].values()) == pytest.approx(1)
    assert card["predicted"] == next(iter(card["probabilities"])) == card["conformal_set"][0]


def test_similar_prints_a_table(study, capsys):
    name = study.adapters("adapter")["adapter"][0]
    assert main(["similar", f"tree/{name}", "--study", "default/mine", "--layer-set", "text"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert str(name) in lines[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "tree/cat/000.safetensors", "--study", "tree"], "tree: no results of a study here"),
        (["predict", "absent.safetensors", "--study", STUDY], "absent.safetensors: no such file"),
        (["predict", "other.safetensors", "--study", STUDY], "none of the study's 8 layers"),
        (["predict", "wide.safetensors", "--study", STUDY], "the file is of another base model"),
        (["predict", "nan.safetensors", "--study", STUDY], "has NaN or infinite weights"),
        (
            ["predict", "tree/cat/000.safetensors", "--study", STUDY, "--probe", "knn"],
            "no finished cell of probe knn; there are: stats/all/mlp",
        ),
        (["similar", "tree/cat/000.safetensors", "--study", STUDY, "-k", "0"], "-k 0: ask for"),
        (
            ["similar", "tree/cat/000.safetensors", "--study", STUDY, "--layer-set", "some"],
            "no layer set 'some'; there are: all",
        ),
    ],
)
def test_bad_input_is_one_line(workdir, capsys, words, message):
    good = factors(0, "cat")
    strange = {layer.replace("down_blocks", "up_blocks"): value for layer, value in good.items()}
    write_diffusers(workdir / "other.safetensors", strange)
    write_diffusers(workdir / "wide.safetensors", {k: (np.tile(a, 2), b) for k, (a, b) in good.items()})
    write_diffusers(
        workdir / "nan.safetensors",
        {**good, LAYERS[0]: (good[LAYERS[0]][0], np.full((SIZE, 1), np.nan, np.float32))},
    )
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_study_that_was_moved_answers_all_the_same(workdir, study, tmp_path):
    shutil.copytree(workdir / "results", tmp_path / "elsewhere")
    moved = FinishedStudy(tmp_path / "elsewhere/studies/default/mine")
    files = adapters_of(study, study.part("test")[:1])
    assert predict(moved, moved.choose("pca"), files) == predict(study, study.choose("pca"), files)


def test_sets_are_calibrated_on_the_test_part(study):
    cell = study.choose("delta_gram", "all", "ridge")
    labels = study.adapters("label")["label"][study.part("test")]
    own = cell.probabilities("test", len(study.classes))[range(12), np.searchsorted(study.classes, labels)]
    # 12 adapters: the ⌈13 · 0.9⌉ = 12th smallest of their scores.
    assert calibrate(study, cell).threshold == pytest.approx((1 - own).max())


def test_too_few_test_adapters_and_none_kept_apart_are_not_measurable(study, monkeypatch):
    cell = study.choose()
    tested = study.tested()
    few = replace(tested, units={**tested.units, "test": np.arange(12) // 2})
    monkeypatch.setattr(study, "tested", lambda: few)
    assert calibrate(study, cell) == Calibration(None, 6, "adapter")
    (card,) = predict(study, cell, adapters_of(study, study.part("test")[:1]))
    assert card.conformal_set is None
    print_prediction(card, cell, study, calibrate(study, cell))
    whole = replace(tested, sanity=True)
    monkeypatch.setattr(study, "tested", lambda: whole)
    assert calibrate(study, cell).threshold is None


# kept probes


def test_the_best_cell_of_each_layer_set_is_kept(workdir, study):
    kept = read_json(workdir / "kept.json")
    assert list(kept) == [str(study.choose(layer_set=name)) for name in ("all", "visual")]
    for name, files in kept.items():
        cell = study.choose(*name.split("/"))
        assert [load_probe(f"results/{file}").card.seed for file in files] == list(cell.seeds)
    assert load_probe(f"results/{files[0]}").card.provenance["key"] == cell.key


def test_a_probe_that_is_not_kept_is_kept_by_the_command_that_is_named(study, capsys):
    cell = study.choose("stats", "visual", "mlp")
    files = [cell.probe_file(seed) for seed in cell.seeds]
    before = [file.read_bytes() for file in files]
    files[1].unlink()
    name = study.adapters("adapter")["adapter"][0]
    words = ["--representation", "stats", "--layer-set", "visual", "--probe", "mlp"]
    assert main(["predict", f"tree/{name}", "--study", STUDY, *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    command = error.strip().split("lorascope ")[-1].split()
    assert command == ["keep", STUDY, *words]
    assert main(command) == 0
    assert "seed 43: kept; it answers as in the study, bit for bit" in capsys.readouterr().err
    assert [file.read_bytes() for file in files] == before
    assert main(command) == 0
    assert capsys.readouterr().err == "stats/visual/mlp: kept already\n"


def test_a_probe_that_answers_otherwise_is_not_kept(study, capsys):
    """As when another version of the code trains it: here the study says that another seed was its first."""
    cell = study.choose("pca", "all", "mlp")
    (file,) = cell.folder.glob("seeds-*.details.parquet")
    table, before = read_table(file), file.read_bytes()
    cell.probe_file(42).unlink()
    write_table(file, table.set_column(0, "seed", pa.array([43, 42], pa.int64())))
    assert main(["keep", STUDY, "--representation", "pca", "--layer-set", "all", "--probe", "mlp"]) == 2
    error = capsys.readouterr().err
    assert "pca/all/mlp, seed 42: trained again, its test probabilities differ" in error
    assert error.count("\n") == 1
    assert not cell.probe_file(42).exists()
    file.write_bytes(before)
    list(keep_probes(study, cell, "cpu", 1))
