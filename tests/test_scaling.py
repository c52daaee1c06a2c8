"""Learning curves over sizes of the training part: nested draws, honest scores, tables, figure, refusals."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorascope.cli import main
from lorascope.files import read_json, read_table, write_table
from lorascope.probes.curve import nested_rows, train_curve
from lorascope.probes.registry import run_probe
from lorascope.probes.train import load_cell
from lorascope.report.document import marks
from lorascope.report.figures import drawings
from lorascope.report.figures.base import save_drawings
from lorascope.report.figures.sizes import SIZES
from lorascope.report.page import render_page
from lorascope.report.scaling import write_scaling
from lorascope.report.summary import load_summary
from lorascope.stats.aggregate import aggregate
from lorascope.study.config import load_config, load_section
from lorascope.study.curves import curves
from lorascope.study.plan import Plan
from synthetic_study import make_study

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
NAMES = {"dataset": "synthetic", "layer_set": "all", "representation": "stats", "probe": "ridge"}
FRACTIONS = [0.05, 0.3, 1]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 2**20), st.data())
def test_smaller_shares_lie_in_larger_ones(classes, seed, data):
    classes = np.array(classes)
    small, large = sorted(data.draw(st.floats(0.01, 1)) for _ in range(2))
    few, many = (nested_rows(classes, fraction, seed) for fraction in (small, large))
    assert set(few) <= set(many)
    assert set(classes[few]) == set(classes)
    for name, count in zip(*np.unique(classes, return_counts=True), strict=True):
        assert (classes[many] == name).sum() == max(1, round(large * count))
    assert np.array_equal(nested_rows(classes, 1, seed), np.arange(len(classes)))


def test_another_seed_draws_others():
    classes = np.arange(200) % 4
    assert set(nested_rows(classes, 0.2, 1)) != set(nested_rows(classes, 0.2, 2))


def write_features(folder, noise=1.5):
    """Write the data set of ``make_study`` with features that tell its classes, in noise."""
    make_study(folder, {("all", "stats"): 0.5}, seeds=1)
    labels = np.unique(read_table(folder / "adapters.parquet")["label"].to_numpy(), return_inverse=True)[1]
    rng = np.random.default_rng(0)
    values = rng.normal(size=(10, 30))[labels] + noise * rng.normal(size=(len(labels), 30))
    columns = {
        f"{LAYER}.{side}/f{i}": values[:, i + 15 * (side == "up")]
        for side in ("down", "up")
        for i in range(15)
    }
    table = pa.table({name: column.astype(np.float32) for name, column in columns.items()})
    write_table(folder / "features.parquet", table, {"representation": "stats"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scaling")
    write_features(path)
    curve(path, path / "curve.parquet")
    return path


def cell(folder, probe="ridge"):
    return load_cell(
        {**NAMES, "probe": probe}, [folder / "features.parquet"], folder / "adapters.parquet", [LAYER]
    )


def curve(folder, out, probe="ridge", fractions=FRACTIONS, seeds=(1, 2, 3), **settings):
    section = load_section(probe, settings)
    return list(train_curve(cell(folder, probe), section, fractions, seeds, "cpu", 1, out, {"key": "k"}))


def test_more_adapters_tell_more(folder):
    rows = read_table(folder / "curve.parquet").to_pylist()
    assert [(row["fraction"], row["seed"]) for row in rows] == [(f, s) for f in FRACTIONS for s in (1, 2, 3)]
    mean = [np.mean([row["test_accuracy"] for row in rows if row["fraction"] == f]) for f in FRACTIONS]
    assert mean[0] + 0.1 < mean[1] < mean[2]
    assert mean[2] > 0.8


def test_the_whole_part_gives_what_the_study_gives(folder):
    rows = [row for row in read_table(folder / "curve.parquet").to_pylist() if row["fraction"] == 1]
    whole = cell(folder)
    (run,) = run_probe("ridge", whole.parts, 10, load_section("ridge", {}), [0])
    right = run.log_probabilities["test"].argmax(axis=1) == whole.parts["test"].classes
    assert all(row["test_correct"] == right.tolist() for row in rows)
    assert rows[0]["train_adapters"] == len(whole.parts["train"].classes)


def test_twice_the_same_and_each_share_is_told_with_its_mean(folder, tmp_path):
    lines = curve(folder, tmp_path / "again.parquet")
    one, two = (
        read_table(path).drop_columns("seconds")
        for path in (folder / "curve.parquet", tmp_path / "again.parquet")
    )
    assert one.equals(two)
    for fraction, line in zip(FRACTIONS, lines, strict=True):
        own = [row["test_accuracy"] for row in one.to_pylist() if row["fraction"] == fraction]
        assert f"test accuracy {np.mean(own):.3f} over 3 draws" in line


def test_standardising_sees_the_share_alone(folder, tmp_path):
    """Changing training adapters outside the share changes nothing."""
    table = read_table(folder / "features.parquet")
    split = np.array(read_table(folder / "adapters.parquet")["split"].to_pylist())
    train = np.flatnonzero(split == "train")
    share = train[nested_rows(cell(folder).parts["train"].classes, 0.3, 1)]
    others = np.setdiff1d(train, share)
    columns = {}
    for name in table.column_names:
        values = table[name].to_numpy().copy()
        values[others] = 100 * values[others] - 7
        columns[name] = values
    changed = tmp_path / "changed"
    write_features(changed)
    write_table(changed / "features.parquet", pa.table(columns), {"representation": "stats"})
    curve(changed, tmp_path / "changed.parquet", fractions=[0.3], seeds=[1])
    after = read_table(tmp_path / "changed.parquet").to_pylist()
    before = [
        row
        for row in read_table(folder / "curve.parquet").to_pylist()
        if (row["fraction"], row["seed"]) == (0.3, 1)
    ]
    assert after[0]["test_correct"] == before[0]["test_correct"]


def empty_figures(summary):
    return {drawing.name: "<svg/>" for drawing in drawings(summary)}


def test_table_figure_and_page(folder, tmp_path):
    made = make_study(tmp_path / "in", {("all", "stats"): 0.5}, seeds=2)
    made["curves"] = [folder / "curve.parquet", tmp_path / "absent.parquet"]
    aggregate(made, tmp_path / "summary")
    sizes = read_json(tmp_path / "summary" / "results.json")["sizes"]
    assert [row["fraction"] for row in sizes] == FRACTIONS
    rows = read_table(folder / "curve.parquet").to_pylist()
    for row in sizes:
        own = [run["test_accuracy"] for run in rows if run["fraction"] == row["fraction"]]
        assert row["test_accuracy_mean"] == pytest.approx(np.mean(own))
        assert row["test_accuracy_std"] == pytest.approx(np.std(own, ddof=1))
        assert row["test_accuracy_adapters_low"] < np.mean(own) < row["test_accuracy_adapters_high"]
    summary = load_summary(tmp_path / "summary")
    drawn = save_drawings([SIZES], summary, tmp_path)
    assert {path.suffix for path in tmp_path.glob("sizes.*")} == {".svg", ".pdf", ".png"}
    page = render_page(
        summary, dict.fromkeys((d.name for d in drawings(summary)), "<svg/>") | drawn, None, None
    )
    assert "How many adapters it takes" in page
    table = page[page.index("Every share") :]
    assert re.search(r'data-value="10">10</td>', table)


def test_without_curves_the_page_says_nothing_of_them(tmp_path):
    aggregate(
        make_study(tmp_path / "in", {("all", "stats"): 0.5}, seeds=1, curves=False), tmp_path / "summary"
    )
    summary = load_summary(tmp_path / "summary")
    assert SIZES not in drawings(summary)
    page = render_page(summary, empty_figures(summary), None, None)
    assert "How many adapters it takes" not in page


def test_two_data_sets_side_by_side(folder, tmp_path, refused):
    made = make_study(tmp_path / "in", {("all", "stats"): 0.5}, seeds=1)
    rows = [{**row, "dataset": "other"} for row in read_table(folder / "curve.parquet").to_pylist()]
    write_table(tmp_path / "other.parquet", pa.Table.from_pylist(rows))
    studies = [
        {**made, "curves": [folder / "curve.parquet"]},
        {**made, "curves": [tmp_path / "other.parquet"]},
    ]
    lines = write_scaling(studies, tmp_path / "out")
    assert [line.partition(":")[0] for line in lines] == ["synthetic", "other"]
    table = read_table(tmp_path / "out" / "sizes.parquet")
    assert table["dataset"].to_pylist() == ["synthetic"] * 3 + ["other"] * 3
    drawn = (tmp_path / "out" / "sizes.svg").read_text()
    assert "synthetic" in drawn
    assert "other" in drawn
    with refused("no learning curve; set scaling.fractions"):
        write_scaling([{**made, "curves": []}], tmp_path / "none")


def test_the_points_go_into_a_document(folder, tmp_path):
    made = make_study(tmp_path / "in", {("all", "stats"): 0.5}, seeds=1)
    write_scaling([{**made, "curves": [folder / "curve.parquet"]}], tmp_path)
    document = tmp_path / "page.md"
    document.write_text("\n".join(marks("scaling-table")))
    table = tmp_path / "sizes.parquet"
    assert main(["scaling-table", "--table", str(table), "--document", str(document)]) == 0
    heads, _, row = (line for line in document.read_text().splitlines() if line.startswith("|"))
    points = read_table(table).to_pylist()
    assert [cell.strip() for cell in heads.split("|")[2:-1]] == [
        f"{point['train_adapters']:,}" for point in points
    ]
    for cell, point in zip(row.split("|")[2:-1], points, strict=True):
        assert cell.strip().startswith(f"{100 * point['test_accuracy_mean']:.1f} [")


def test_answers_to_another_test_part_are_refused(folder, tmp_path, refused):
    made = make_study(tmp_path / "in", {("all", "stats"): 0.5}, seeds=1, adapters=200)
    with refused("its answers are not to this data set's test part"):
        aggregate({**made, "curves": [folder / "curve.parquet"]}, tmp_path / "summary")


def test_a_share_too_small_for_the_probe_is_named(folder, tmp_path, refused):
    with refused(r"scaling: 0.05 of the training part \(10 adapters\): seed 1: the loss is not finite"):
        curve(folder, tmp_path / "x.parquet", "mlp", seeds=[1], learning_rate=1e30, epochs=2)
    assert not (tmp_path / "x.parquet").exists()


def plan(**scaling):
    sanity = {"dataset": "sanity", "datasets": {"sanity": {"source": "sanity"}}}
    return Plan(load_config({**sanity, "representations": ["stats", "delta_gram"], "scaling": scaling}))


def test_no_curve_by_default():
    assert curves(plan(), "sanity") == []


def test_what_a_curve_depends_on():
    first, more, others = (
        plan(fractions=[0.5]),
        plan(fractions=[0.5, 1]),
        plan(fractions=[0.5], probes=["knn"]),
    )
    assert len(curves(first, "sanity")) == 4
    assert {curve.cell.probe for curve in curves(first, "sanity")} == {"ridge"}
    keys = [curves(plan, "sanity")[0].key for plan in (first, more, others)]
    assert len(set(keys)) == 3
    assert first.study_key("sanity") != more.study_key("sanity") != plan().study_key("sanity")
    # The cells of the study do not know of curves.
    assert first.cells("sanity") == more.cells("sanity") == plan().cells("sanity")


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"fractions": [0]}, "scaling.fractions.0"),
        ({"fractions": [1.5]}, "scaling.fractions.0"),
        ({"fractions": [0.5, 0.5]}, "scaling.fractions"),
        ({"representations": ["stat"]}, "unknown name 'stat'; did you mean 'stats'"),
        ({"fractions": [1], "probes": ["w2t"]}, "none of w2t reads a representation"),
        ({"shares": [1]}, "unknown key 'shares'"),
    ],
)
def test_wrong_settings_are_refused(scaling, message, refused):
    with refused(re.escape(message)):
        plan(**scaling)


def test_the_command_writes_the_table(folder, tmp_path):
    arguments = [
        "scale",
        "--features",
        folder / "features.parquet",
        "--adapters",
        folder / "adapters.parquet",
    ]
    for name, value in NAMES.items():
        arguments += [f"--{name.replace('_', '-')}", value]
    arguments += ["--layers", f'["{LAYER}"]', "--settings", "{}", "--fractions", "[0.3]"]
    arguments += ["--first-seed", 1, "--seeds", 1, "--out", tmp_path / "out.parquet"]
    assert main(list(map(str, arguments))) == 0
    assert read_table(tmp_path / "out.parquet").num_rows == 1
