import csv
import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorascope.errors import LorascopeError
from lorascope.files import read_json, read_metadata, read_table, write_json, write_table
from lorascope.probes.metrics import cross_entropy
from lorascope.report import latex
from lorascope.report.summary import load_summary
from lorascope.stats.aggregate import aggregate, csv_bytes, without_negative_zeros
from lorascope.stats.cells import CURVES, TRAINED_METRICS
from lorascope.stats.dictionary import TABLES as EVERY_TABLE
from lorascope.stats.intervals import accuracy_interval, seeds_interval
from lorascope.stats.paired import holm
from synthetic_study import default_accuracies, make_study

FAILED_LOG = (
    "epoch 1\nTraceback (most recent call last):\nLorascopeError: features: NaN; run extract\nstopped\n"
)


@pytest.fixture(scope="module")
def summarised(tmp_path_factory):
    """A study with a failed and a missing cell, and its summary."""
    folder = tmp_path_factory.mktemp("study")
    study = make_study(
        folder / "in",
        default_accuracies(("simple_stats", "spectral", "frequency", "info_theoretic")),
        absent={("all", "simple_stats"): FAILED_LOG, ("visual", "frequency"): ""},
    )
    aggregate(study, folder / "out")
    return study, folder / "out"


# The others are of steps beside the cells, which these studies have not.
BESIDE = ("layers", "layer_groups", "layer_ablations", "adapter_map", "sizes")
TABLES = [name for name in EVERY_TABLE if name not in BESIDE]


def small_study(folder, **changes):
    arguments = {"seeds": 2, "adapters": 60, "classes": 3} | changes
    accuracies = arguments.pop("accuracies", {("all", "stats"): 0.8, ("visual", "stats"): 0.6})
    return make_study(folder, accuracies, **arguments)


def results_of(study, folder):
    return json.loads(aggregate(study, folder).read_text())


def entry_of(study, layer_set, representation):
    wanted = (layer_set, representation)
    return next(cell for cell in study["cells"] if (cell["layer_set"], cell["representation"]) == wanted)


def record_of(results, layer_set, representation):
    wanted = (layer_set, representation)
    return next(cell for cell in results["cells"] if (cell["layer_set"], cell["representation"]) == wanted)


def raw(entry, kind, column):
    """A column of a cell's files, read without the code under test."""
    return [value for path in entry[kind] for value in pq.read_table(path)[column].to_pylist()]


def test_every_table_is_there_twice_and_flagged(summarised):
    _, out = summarised
    for name in TABLES:
        table = read_table(out / f"{name}.parquet")
        with (out / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == table.num_rows > 0
        assert list(rows[0]) == table.column_names
        assert table["sanity"].to_pylist() == [False] * table.num_rows
        assert read_metadata(out / f"{name}.parquet")["keys"] == {"prepare": "0123456789"}


def test_no_cell_is_dropped(summarised):
    study, out = summarised
    results = json.loads((out / "results.json").read_text())
    assert len(results["cells"]) == len(study["cells"]) == 8
    failed, missing = record_of(results, "all", "simple_stats"), record_of(results, "visual", "frequency")
    assert (failed["status"], failed["reason"]) == ("failed", "LorascopeError: features: NaN; run extract")
    assert (missing["status"], missing["reason"]) == ("missing", "seeds-42-43.runs.parquet does not exist")
    assert failed["test_accuracy_mean"] is None
    drops = {drop["representation"]: drop for drop in results["drops"]}
    assert drops["simple_stats"]["reason"] == "all failed"
    assert drops["frequency"]["reason"] == "visual missing"
    assert drops["frequency"]["drop"] is None


def test_cells_are_mean_std_and_values_of_the_runs(summarised):
    study, out = summarised
    entry = entry_of(study, "all", "spectral")
    record = record_of(json.loads((out / "results.json").read_text()), "all", "spectral")
    for metric in TRAINED_METRICS:
        values = raw(entry, "runs", metric)
        assert record[f"{metric}_values"] == pytest.approx(values)
        assert record[f"{metric}_mean"] == pytest.approx(np.mean(values))
        assert record[f"{metric}_std"] == pytest.approx(np.std(values, ddof=1))
    accuracies = raw(entry, "runs", "test_accuracy")
    over_seeds = seeds_interval(np.array(accuracies), record["test_adapters"])
    assert record["test_accuracy_seeds_low"] == over_seeds.low
    assert record["test_accuracy_seeds_high"] == over_seeds.high
    assert record["test_accuracy_adapters_low"] < np.mean(accuracies) < record["test_accuracy_adapters_high"]
    assert record["seed_values"] == [42, 43, 44]
    assert record["train_test_gap"] == pytest.approx(1 - np.mean(accuracies))


def test_drops_are_paired_by_seed_and_adapter(summarised):
    study, out = summarised
    rows = {row["representation"]: row for row in read_table(out / "drops.parquet").to_pylist()}
    before, after = (
        np.array(raw(entry_of(study, name, "spectral"), "runs", "test_accuracy"))
        for name in ("all", "visual")
    )
    row = rows["spectral"]
    assert row["seeds_drop_values"] == pytest.approx(before - after)
    assert row["drop"] == pytest.approx(np.mean(before - after))
    assert row["relative_drop"] == pytest.approx(1 - after.mean() / before.mean())
    assert row["drop_low"] < row["drop"] < row["drop_high"]
    tested = sorted(row["p"] for row in rows.values() if row["p"] is not None)
    assert len(tested) == 2
    assert min(row["p_holm"] for row in rows.values() if row["p"] is not None) == pytest.approx(2 * tested[0])


def test_mean_drop_weighs_the_finished_representations_alike(summarised):
    _, out = summarised
    drops = [row for row in read_table(out / "drops.parquet").to_pylist() if row["drop"] is not None]
    (mean,) = read_table(out / "mean_drops.parquet").to_pylist()
    assert mean["representations"] == ["spectral", "info_theoretic"]
    assert mean["drop"] == pytest.approx(np.mean([row["drop"] for row in drops]))


def test_curves_average_the_seeds_that_still_train(summarised):
    study, out = summarised
    rows = [
        row
        for row in read_table(out / "curves.parquet").to_pylist()
        if (row["layer_set"], row["representation"]) == ("visual", "spectral")
    ]
    entry = entry_of(study, "visual", "spectral")
    for name in CURVES:
        curves = raw(entry, "details", f"curve_{name}")
        assert [row["epoch"] for row in rows] == list(range(1, max(map(len, curves)) + 1))
        for row in rows:
            values = [curve[row["epoch"] - 1] for curve in curves if len(curve) >= row["epoch"]]
            assert row["seeds"] == len(values)
            assert row[f"{name}_mean"] == pytest.approx(np.mean(values))
            expected = np.std(values, ddof=1) if len(values) > 1 else None
            assert row[f"{name}_std"] == (None if expected is None else pytest.approx(expected))


def test_confusions_average_the_seeds(summarised):
    study, out = summarised
    results = json.loads((out / "results.json").read_text())
    record = record_of(results, "all", "frequency")
    for part in ("validation", "test"):
        matrices = np.array(raw(entry_of(study, "all", "frequency"), "details", f"confusion_{part}"))
        expected = matrices.mean(axis=0).reshape(10, 10)
        np.testing.assert_allclose(record["confusions"][part], expected)
        table = read_table(out / "confusions.parquet").to_pylist()
        mine = [row for row in table if (row["layer_set"], row["representation"]) == ("all", "frequency")]
        shares = [row["share"] for row in mine if row["part"] == part]
        np.testing.assert_allclose(shares, (expected / expected.sum(axis=1, keepdims=True)).ravel())


def test_best_cell_is_chosen_on_validation(tmp_path):
    study = small_study(tmp_path / "in", accuracies={("all", "stats"): 0.7, ("all", "spectral"): 0.5})
    for path in entry_of(study, "all", "spectral")["runs"]:
        runs = pq.read_table(path)
        perfect = pa.array([1.0] * runs.num_rows)
        index = runs.column_names.index("validation_accuracy")
        write_table(path, runs.set_column(index, "validation_accuracy", perfect))
    assert results_of(study, tmp_path / "out")["best"]["representation"] == "spectral"


def test_a_cell_with_some_of_its_seeds_is_partial(tmp_path):
    study = small_study(tmp_path / "in", seeds=3, block=1)
    gone = entry_of(study, "visual", "stats")["runs"][1]
    gone.unlink()
    results = results_of(study, tmp_path / "out")
    record = record_of(results, "visual", "stats")
    assert record["status"] == "partial"
    assert record["reason"] == "2 of 3 seed blocks: seeds-43-43.runs.parquet does not exist"
    assert record["seed_values"] == [42, 44]
    (drop,) = results["drops"]
    assert (drop["status"], drop["seeds"]) == ("partial", 2)


def test_one_seed_has_no_spread_but_a_test_set_interval(tmp_path):
    results = results_of(small_study(tmp_path / "in", seeds=1), tmp_path / "out")
    record = record_of(results, "all", "stats")
    assert record["test_accuracy_std"] is record["test_accuracy_seeds_low"] is None
    assert record["test_accuracy_adapters_low"] < record["test_accuracy_mean"]
    assert results["drops"][0]["seeds_drop_std"] is None


def test_sanity_is_flagged_everywhere(tmp_path):
    accuracies = {("all", "stats"): 0.8, ("visual", "stats"): 0.6, ("all", "spectral"): 0.7}
    study = small_study(tmp_path / "in", accuracies=accuracies, adapters=6, sanity=True)
    results = results_of(study, tmp_path / "out")
    assert results["sanity"] is True
    assert results["test_adapters"] == 6
    for name in TABLES:
        assert set(read_table(tmp_path / "out" / f"{name}.parquet")["sanity"].to_pylist()) == {True}
        assert read_metadata(tmp_path / "out" / f"{name}.parquet")["sanity"] is True


def test_duplicates_are_counted_and_those_across_parts_named(tmp_path):
    study = small_study(tmp_path / "in")
    split = read_table(study["adapters"])["split"].to_pylist()
    ids = read_table(study["adapters"])["adapter"].to_pylist()
    trained = [name for name, part in zip(ids, split, strict=True) if part == "train"]
    tested = ids[split.index("test")]
    manifest = read_json(study["manifest"]) | {"duplicates": [trained[:3], [trained[4], tested]]}
    write_json(study["manifest"], manifest)
    results = results_of(study, tmp_path / "out")
    assert results["duplicates"] == {"sets": 2, "adapters": 5, "across_parts": 1}


def test_groups_are_the_units(tmp_path):
    apart = results_of(small_study(tmp_path / "a"), tmp_path / "a-out")
    grouped = results_of(small_study(tmp_path / "b", groups=4), tmp_path / "b-out")
    assert (apart["unit"], apart["test_units"]) == ("adapter", apart["test_adapters"])
    assert (grouped["unit"], grouped["test_units"]) == ("group", 4)
    first, second = (record_of(results, "all", "stats") for results in (apart, grouped))
    assert first["test_accuracy_mean"] == second["test_accuracy_mean"]
    widths = [
        record["test_accuracy_adapters_high"] - record["test_accuracy_adapters_low"]
        for record in (first, second)
    ]
    assert widths[1] > widths[0]


def test_without_any_result_there_is_a_summary_all_the_same(tmp_path):
    absent = {("all", "stats"): "", ("visual", "stats"): "MemoryError\n"}
    results = results_of(small_study(tmp_path / "in", absent=absent), tmp_path / "out")
    assert results["best"] is None
    assert [cell["status"] for cell in results["cells"]] == ["missing", "failed"]
    assert (results["runs"], results["mean_drops"]) == ([], [])


def test_the_log_of_every_block_is_searched_for_the_error(tmp_path):
    absent = {("all", "stats"): "RuntimeError: out of memory\n"}
    study = small_study(tmp_path / "in", seeds=3, block=1, absent=absent)
    logs = entry_of(study, "all", "stats")["logs"]
    assert ["Error" in log.read_text() for log in logs] == [False, False, True]
    record = record_of(results_of(study, tmp_path / "out"), "all", "stats")
    assert (record["status"], record["reason"]) == ("failed", "RuntimeError: out of memory")


def test_a_word_about_errors_is_no_failure(tmp_path):
    absent = {("all", "stats"): "epoch 3: validation error 0.2\n"}
    results = results_of(small_study(tmp_path / "in", absent=absent), tmp_path / "out")
    assert record_of(results, "all", "stats")["status"] == "missing"


def test_a_diverged_loss_is_null_in_json(tmp_path):
    study = small_study(tmp_path / "in")
    path = entry_of(study, "all", "stats")["runs"][0]
    runs = pq.read_table(path)
    infinite = pa.array([float("inf")] * runs.num_rows)
    write_table(path, runs.set_column(runs.column_names.index("train_loss"), "train_loss", infinite))
    text = aggregate(study, tmp_path / "out").read_text()
    assert "Infinity" not in text
    assert record_of(json.loads(text), "all", "stats")["train_loss_mean"] is None


def test_same_files_same_bytes(summarised, tmp_path):
    study, out = summarised
    aggregate(study, tmp_path)
    for path in sorted(out.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_seed_in_two_blocks_is_refused(tmp_path):
    study = small_study(tmp_path / "in", seeds=2, block=1)
    entry = entry_of(study, "all", "stats")
    for kind in ("runs", "details"):
        shutil.copy(entry[kind][0], entry[kind][1])
    with pytest.raises(LorascopeError, match="a seed stands in two blocks"):
        aggregate(study, tmp_path / "out")


def test_details_of_other_runs_are_refused(tmp_path):
    study = small_study(tmp_path / "in", seeds=1, adapters=300)
    better, worse = (entry_of(study, name, "stats") for name in ("all", "visual"))
    shutil.copy(worse["details"][0], better["details"][0])
    with pytest.raises(LorascopeError, match="contradicts the test accuracy"):
        aggregate(study, tmp_path / "out")


def test_details_of_another_data_set_are_refused(tmp_path):
    study, other = small_study(tmp_path / "in"), small_study(tmp_path / "other", adapters=90)
    study["cells"] = other["cells"]
    with pytest.raises(LorascopeError, match="does not fit the data set's adapters"):
        aggregate(study, tmp_path / "out")


def test_a_manifest_with_other_classes_is_refused(tmp_path):
    study, other = small_study(tmp_path / "in"), small_study(tmp_path / "other", classes=4)
    study["manifest"] = other["manifest"]
    with pytest.raises(LorascopeError, match="classes are not those of the manifest"):
        aggregate(study, tmp_path / "out")


def test_the_first_layer_set_is_the_reference_of_everything(tmp_path):
    accuracies = {("visual", "stats"): 0.6, ("all", "stats"): 0.8}
    results = results_of(small_study(tmp_path / "in", accuracies=accuracies), tmp_path / "out")
    assert results["reference"] == "visual"
    (drop,), (mean,), (random,) = (results[name] for name in ("drops", "mean_drops", "random_layers"))
    assert drop["drop"] == pytest.approx(
        record_of(results, "visual", "stats")["test_accuracy_mean"]
        - record_of(results, "all", "stats")["test_accuracy_mean"]
    )
    for row in (drop, mean, random):
        assert (row["reference"], row["layer_set"]) == ("visual", "all")
    summary = load_summary(tmp_path / "out")
    assert summary.question == "all"
    assert r"visual $\rightarrow$ all" in latex.tables(summary)["drops"]


def test_no_file_shows_a_negative_zero():
    lists = pa.array([[-0.0, 1.0], None, [], [-0.0]], pa.list_(pa.float64()))
    table = pa.table(
        {"a": [-0.0, None, -1.0, 2.0], "b": lists, "c": ["-0", "x", "y", "z"], "d": [0, 1, 2, 3]}
    )
    tidy = without_negative_zeros(table)
    assert tidy.equals(table)
    assert not np.signbit(tidy["a"][0].as_py())
    assert not np.signbit(tidy["b"].to_pylist()[0] + tidy["b"].to_pylist()[3]).any()
    assert csv_bytes(tidy).decode().splitlines()[1] == '0,"0 1","-0",0'


def test_a_certain_run_has_no_loss():
    assert not np.signbit(cross_entropy(np.zeros((3, 2)), np.array([0, 1, 0])))


def test_mean_drops_are_corrected_over_their_table(tmp_path):
    accuracies = {("all", "stats"): 0.8, ("visual", "stats"): 0.7, ("text", "stats"): 0.65}
    results = results_of(small_study(tmp_path / "in", accuracies=accuracies), tmp_path / "out")
    rows = results["mean_drops"]
    assert len(rows) == 2
    assert [row["p_holm"] for row in rows] == pytest.approx(holm([row["p"] for row in rows]))
    assert rows[0]["p_holm"] > rows[0]["p"]


def test_recalls_and_bins_have_intervals_over_units(tmp_path):
    """Of grouped adapters, all seeds: a unit counts once, whatever its adapters and seeds."""
    study = small_study(tmp_path / "in", groups=9, adapters=300)
    record = record_of(results_of(study, tmp_path / "out"), "all", "stats")
    table = read_table(study["adapters"]).to_pandas()
    entry = entry_of(study, "all", "stats")
    for part in ("validation", "test"):
        own = table[table["split"] == part]
        truth = pd.factorize(own["label"], sort=True)[0]
        units = pd.factorize(own["group"])[0]
        probabilities = np.array(raw(entry, "details", f"{part}_probabilities")).reshape(2, len(own), 3)
        right = probabilities.argmax(axis=2) == truth
        bins = np.ceil(probabilities.max(axis=2).astype(np.float64) * 15) - 1
        for row in (row for row in record["reliability"] if row["part"] == part):
            inside = bins == round(row["low"] * 15)
            by_unit = [
                [each[:, units == unit].sum() for unit in range(9)] for each in (right & inside, inside)
            ]
            found = np.array(by_unit)[:, np.array(by_unit[1]) > 0]
            assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(accuracy_interval(*found)[:2])
    for code, row in enumerate(record["per_class"]):
        own = (truth == code).nonzero()[0]
        sizes = np.bincount(units[own])
        hits = np.bincount(units[own], right[:, own].mean(axis=0))[sizes > 0]
        expected = accuracy_interval(hits, sizes[sizes > 0])
        assert (row["recall_adapters_low"], row["recall_adapters_high"]) == pytest.approx(expected[:2])
