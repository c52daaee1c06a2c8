"""A cell from feature files to result files: kept seeds, refusals, the same rows whatever the blocks."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from lorascope.files import read_table, write_table
from lorascope.probes.train import load_cell, train_block
from lorascope.stats.versions import versions_of
from lorascope.study.config import load_section

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
NAMES = {"dataset": "toy", "layer_set": "all", "representation": "stats", "probe": "mlp"}
SETTINGS = load_section("mlp", {"hidden": [8], "epochs": 3, "batch": 16})


@pytest.fixture
def files(tmp_path):
    """Feature file and adapter table of 40 adapters of two classes."""
    rng = np.random.default_rng(0)
    labels = np.array(["cat", "dog"])[np.arange(40) % 2]
    split = np.repeat(["train", "validation", "test"], [28, 4, 8])
    names = [f"{LAYER}.{side}/mean" for side in ("down", "up")]
    columns = {name: pa.array(rng.normal(size=40).astype(np.float32)) for name in names}
    write_table(tmp_path / "features.parquet", pa.table(columns), {"representation": "stats"})
    write_table(tmp_path / "adapters.parquet", pa.table({"label": labels, "split": split}))
    return tmp_path


def load(files, **names):
    return load_cell({**NAMES, **names}, [files / "features.parquet"], files / "adapters.parquet", [LAYER])


def block(files, folder, seeds, loader=None):
    return list(train_block(loader or (lambda: load(files)), SETTINGS, seeds, "cpu", 1, folder, {"key": "k"}))


def test_features_are_standardised_with_the_training_part(files):
    cell = load(files)
    np.testing.assert_allclose(cell.parts["train"].features.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(cell.parts["train"].features.std(axis=0), 1, atol=1e-6)
    assert [len(cell.parts[part].classes) for part in ("train", "validation", "test")] == [28, 4, 8]


def test_the_kernel_probe_gets_raw_features(files):
    raw = read_table(files / "features.parquet").to_pandas().to_numpy()
    assert np.array_equal(load(files, probe="kernel").parts["test"].features, raw[32:])


def test_another_division_into_blocks_gives_the_same_rows(files, tmp_path):
    block(files, tmp_path / "one", range(3, 7))
    block(files, tmp_path / "two", range(3, 5))
    block(files, tmp_path / "two", range(5, 7))
    whole = read_table(tmp_path / "one/seeds-3-6.runs.parquet").drop_columns("seconds")
    halves = [read_table(tmp_path / f"two/seeds-{name}.runs.parquet") for name in ("3-4", "5-6")]
    assert whole.equals(pa.concat_tables(halves).drop_columns("seconds"))


def test_finished_seeds_are_not_trained_again_nor_features_read(files, tmp_path):
    assert len(block(files, tmp_path / "cell", [3, 4])) == 2

    def never():
        raise AssertionError("read although nothing is missing")

    assert block(files, tmp_path / "cell", [3, 4], never) == []


def test_a_block_says_what_made_each_of_its_seeds(files, tmp_path):
    def versions(torch, device="cpu"):
        return {"versions": {"torch": torch, "rich": "1.0"}, "device": device}

    def train(seeds, provenance):
        load_it, folder = lambda: load(files), tmp_path / "cell"
        list(train_block(load_it, SETTINGS, seeds, "cpu", 1, folder, provenance))
        return versions_of([folder / f"seeds-{seeds[0]}-{seeds[-1]}.runs.parquet"])

    assert train([3, 4], versions("2.1")) == {"torch": ["2.1"], "device": ["cpu"]}
    assert train([3, 4, 5], versions("2.2", "H100")) == {"torch": ["2.1", "2.2"], "device": ["H100", "cpu"]}
    assert train([3, 4], versions("2.3")) == {"torch": ["2.1"], "device": ["cpu"]}


def test_a_seed_without_its_row_of_scores_is_trained_again(files, tmp_path):
    block(files, tmp_path / "cell", [3, 4])
    (tmp_path / "cell/seeds/seed-4.runs.parquet").unlink()
    (line,) = block(files, tmp_path / "cell", [3, 4])
    assert "seed 4" in line


def test_scores_fit_the_details(files, tmp_path):
    block(files, tmp_path / "cell", [3])
    (run,) = read_table(tmp_path / "cell/seeds-3-3.runs.parquet").to_pylist()
    (details,) = read_table(tmp_path / "cell/seeds-3-3.details.parquet").to_pylist()
    confusion = np.array(details["confusion_test"]).reshape(2, 2)
    assert confusion.sum() == 8
    assert np.trace(confusion) / 8 == run["test_accuracy"]
    assert max(details["curve_validation_accuracy"]) == pytest.approx(run["validation_accuracy"])
    assert len(details["test_probabilities"]) == 8 * 2


def test_a_feature_that_is_not_finite_is_named(files, refused):
    table = read_table(files / "features.parquet")
    column = table.column_names[1]
    broken = table[column].to_numpy().copy()
    broken[5] = np.nan
    table = table.set_column(1, column, pa.array(broken))
    write_table(files / "features.parquet", table, {"representation": "stats"})
    with refused(f"feature '{column}' is not finite"):
        load(files)


def test_other_numbers_of_rows_are_refused(files, refused):
    write_table(files / "adapters.parquet", read_table(files / "adapters.parquet").slice(0, 39))
    with refused("40 rows but .* has 39"):
        load(files)


def test_a_class_without_training_adapters_is_refused(files, refused):
    table = read_table(files / "adapters.parquet")
    labels = np.array(table["label"].to_pylist())
    labels = np.where(np.array(table["split"].to_pylist()) == "train", "dog", labels)
    write_table(files / "adapters.parquet", table.set_column(0, "label", pa.array(labels)))
    with refused("no training adapter of cat"):
        load(files)


def test_small_sets_use_the_whole_set_for_every_part(files):
    table = read_table(files / "adapters.parquet")
    write_table(files / "adapters.parquet", table.set_column(1, "split", pa.array(["all"] * 40)))
    cell = load(files)
    assert {len(part.classes) for part in cell.parts.values()} == {40}


def test_rows_tell_the_cell_and_its_size(files, tmp_path):
    block(files, tmp_path / "cell", [3])
    (run,) = read_table(tmp_path / "cell/seeds-3-3.runs.parquet").to_pylist()
    assert {name: run[name] for name in NAMES} == NAMES
    assert (run["seed"], run["features"], run["layers"]) == (3, 2, 1)


def test_the_training_part_is_scored_as_the_others_are(files, tmp_path):
    """Where all parts are the same adapters, all scores are the same."""
    table = read_table(files / "adapters.parquet")
    write_table(files / "adapters.parquet", table.set_column(1, "split", pa.array(["all"] * 40)))
    block(files, tmp_path / "cell", [3])
    (run,) = read_table(tmp_path / "cell/seeds-3-3.runs.parquet").to_pylist()
    (details,) = read_table(tmp_path / "cell/seeds-3-3.details.parquet").to_pylist()
    for score in ("accuracy", "f1", "precision", "recall", "loss"):
        assert run[f"train_{score}"] == run[f"test_{score}"]
    certainty = np.array(details["test_probabilities"]).reshape(40, 2)[:, 1]
    assert run["train_auroc"] == pytest.approx(roc_auc_score(np.arange(40) % 2, certainty))
