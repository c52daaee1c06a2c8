"""A data set in the published schema, from save_to_disk to its page; and what wrong input looks like."""

import json

import numpy as np
import pytest

from lorascope.files import read_table
from published import NARROW, SD15, make_dataset, make_weights
from workflow import jobs, run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SMALL = {"dataset": "mine", "representations": ["stats"], "seeds": 1, "mlp": {"epochs": 1, "hidden": [4]}}
SMALL |= {"probes": ["mlp"], "importance": {"representation": None}, "adapter_map": {"adapters": 0}}
FEATURES_OF_ALL = {
    "simple_stats": 640,
    "rank_based": 1408,
    "stats": 896,
    "spectral": 4096,
    "matrix_norms": 896,
    "distribution": 1536,
    "frequency": 1792,
    "info_theoretic": 256,
    "ensemble": 8576,
}


@pytest.fixture
def narrow_weights():
    return make_weights(40, NARROW)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    make_dataset(make_weights(200, SD15, signal=0.5)).save_to_disk(str(folder / "adapters"))
    settings = {
        "dataset": "mine",
        "seeds": 1,
        "mlp": {"hidden": [32], "epochs": 3},
        "datasets": {"mine": {"source": "disk", "path": str(folder / "adapters"), "group": "category_name"}},
    }
    write_config(folder, settings)
    done = run(folder)
    assert done.returncode == 0, done.stdout
    return folder


def test_every_cell_has_the_right_number_of_features(finished):
    cells = read_table(finished / "results/studies/default/mine/summary/runs.parquet").to_pylist()
    found = {(cell["representation"], cell["layer_set"]): cell["features"] for cell in cells}
    for name, count in FEATURES_OF_ALL.items():
        assert found[name, "all"] == count
        assert found[name, "visual"] == count // 2
    assert len(found) == 24


def test_no_category_leaf_is_in_two_parts(finished):
    (table,) = (finished / "results/mine/labels").glob("*/adapters.parquet")
    adapters = read_table(table, ["group", "split"]).to_pydict()
    parts = {}
    for group, part in zip(adapters["group"], adapters["split"], strict=True):
        parts.setdefault(group, set()).add(part)
    assert all(len(seen) == 1 for seen in parts.values())


def test_the_page_and_the_tables_are_there(finished):
    page = (finished / "results/studies/default/mine/report/index.html").read_text()
    assert "mine" in page
    results = json.loads((finished / "results/studies/default/mine/summary/results.json").read_text())
    assert len(results["cells"]) == 48
    assert all(np.isfinite(cell["test_accuracy_mean"]) for cell in results["cells"])


def test_one_representation_after_the_study_has_nothing_left_to_do(finished):
    assert jobs(run(finished, "spectral", "--dry-run")) == {}


def refusal(folder, dataset, **settings) -> str:
    """Run a study on a data set that is wrong; return what the user sees."""
    dataset.save_to_disk(str(folder / "adapters"))
    source = {"source": "disk", "path": str(folder / "adapters"), **settings}
    write_config(folder, {**SMALL, "layer_sets": ["all"], "datasets": {"mine": source}})
    done = run(folder)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    return done.stdout


def test_nan_fails_the_rule_with_one_line_on_screen_and_in_the_log(tmp_path, narrow_weights):
    column = next(iter(narrow_weights))
    narrow_weights[column][3, 0, 0] = np.nan
    seen = refusal(tmp_path, make_dataset(narrow_weights), max_rejected=0)
    line = "mine: 1 of 40 rows rejected, more than max_rejected (0) allows; the first: 3: "
    assert f"{line}column '{column}' has a NaN" in seen
    (log,) = (tmp_path / "logs/mine/prepare").glob("*.log")
    assert log.read_text().startswith(f"lorascope prepare: error: {line}")
    assert len(log.read_text().splitlines()) == 1


def test_a_missing_label_column_is_named_before_anything_runs(tmp_path, narrow_weights):
    seen = refusal(tmp_path, make_dataset(narrow_weights), label="klass")
    assert "error: mine: no label column 'klass'; there are: " in seen
    assert not (tmp_path / "results/mine").exists()


def test_one_class_only(tmp_path, narrow_weights):
    dataset = make_dataset(narrow_weights)
    same = dataset.remove_columns("category_label").add_column("category_label", ["cat"] * len(dataset))
    assert "only one class ('cat')" in refusal(tmp_path, same)


def test_an_empty_data_set(tmp_path, narrow_weights):
    assert "the data set is empty" in refusal(tmp_path, make_dataset(narrow_weights).select([]))


def test_a_failed_cell_fails_the_run_and_is_named_on_the_page_beside_the_others(tmp_path, narrow_weights):
    """A probe that cannot be trained, on one layer set: the other cell is reported all the same."""
    make_dataset(narrow_weights).save_to_disk(str(tmp_path / "adapters"))
    source = {"source": "disk", "path": str(tmp_path / "adapters")}
    write_config(tmp_path, {**SMALL, "datasets": {"mine": source}})
    assert run(tmp_path, "features").returncode == 0
    (feature_file,) = (tmp_path / "results/mine/features").rglob("attn2.parquet")
    feature_file.write_bytes(feature_file.read_bytes()[:-100])
    done = run(tmp_path)
    assert done.returncode != 0
    results = json.loads((tmp_path / "results/studies/default/mine/summary/results.json").read_text())
    status = {cell["layer_set"]: cell["status"] for cell in results["cells"]}
    assert status == {"all": "failed", "visual": "done"}
    page = (tmp_path / "results/studies/default/mine/report/index.html").read_text()
    assert "not a readable feature file" in page
    assert not feature_file.exists(), "set aside, so that the next run makes it again"
    assert run(tmp_path).returncode == 0
    results = json.loads((tmp_path / "results/studies/default/mine/summary/results.json").read_text())
    assert {cell["status"] for cell in results["cells"]} == {"done"}
