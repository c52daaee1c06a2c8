import json

import pytest

from lorascope.report.chart_data import CURVES, DROPS, MEASURES, chart_data
from lorascope.report.charts import charts, scripts
from lorascope.report.figures import drawings
from lorascope.report.summary import load_summary
from lorascope.stats.aggregate import aggregate
from synthetic_study import default_accuracies, make_study

KEYS = {"row", "layer_set", "representation", "probe"}
ABSENT = {("all", "stats"): "ValueError: no\n", ("visual", "frequency"): ""}


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    home = tmp_path_factory.mktemp("charts")
    accuracies = default_accuracies(("stats", "spectral", "frequency", "distribution", "rank_based"))
    aggregate(make_study(home / "in", accuracies, absent=ABSENT, seeds=2, adapters=100), home / "out")
    return load_summary(home / "out")


def rows_of(table):
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def sources(specification):
    parts = [specification, *specification.get("layer", [])]
    named = {part["data"]["name"] for part in parts if "name" in part.get("data", {})}
    return named - set(specification.get("datasets", {}))


def test_every_table_can_be_filtered(summary):
    for name, table in chart_data(summary).items():
        assert set(table) >= KEYS, name
        assert len({len(values) for values in table.values()}) == 1, name


def test_scores_are_those_of_the_summary(summary):
    rows = rows_of(chart_data(summary)["scores"])
    assert len(rows) == len(MEASURES) * len(summary.found)
    for cell in summary.found:
        own = {row["measure"]: row for row in rows if all(row[key] == cell[key] for key in KEYS - {"row"})}
        accuracy = own["test accuracy (%)"]
        assert accuracy["value"] == pytest.approx(100 * cell["test_accuracy_mean"], abs=1e-3)
        assert accuracy["low"] == pytest.approx(100 * cell["test_accuracy_adapters_low"], abs=1e-3)
        assert own["Brier score"]["value"] == pytest.approx(cell["test_brier_mean"], abs=1e-3)
        assert own["F1, macro (%)"]["low"] is None


def test_no_cell_is_left_out(summary):
    data = chart_data(summary)
    drawn = {(row["layer_set"], row["representation"]) for row in rows_of(data["scores"])}
    said = {(row["layer_set"], row["representation"]): row["words"] for row in rows_of(data["unfinished"])}
    assert drawn | set(said) == {(cell["layer_set"], cell["representation"]) for cell in summary.cells}
    assert said == {("all", "stats"): "✕ all: failed", ("visual", "frequency"): "✕ visual: missing"}
    dropped = rows_of(data["drops"])
    assert len(dropped) == 3 * len(DROPS)
    assert len(rows_of(data["unfinished_drops"])) == 2


def test_curves_end_while_half_of_the_seeds_train(summary):
    rows = rows_of(chart_data(summary)["curves"])
    for cell in summary.found:
        own = [row for row in rows if all(row[key] == cell[key] for key in KEYS - {"row"})]
        kept = [seeds for seeds in cell["curves"]["seeds"] if 2 * seeds >= cell["seeds"]]
        assert len(own) == len(CURVES) * len(kept)
    assert {row["row"] for row in rows if row["best"]} == {row[0] for row in summary.three_best}


def test_charts_stand_where_figures_stand_and_draw_the_tables(summary):
    drawn, tables = charts(summary), chart_data(summary)
    assert set(drawn) < {drawing.name for drawing in drawings(summary)}
    used = set().union(*(sources(specification) for specification in drawn.values()))
    assert used == set(tables)
    for name, specification in drawn.items():
        assert specification["description"], name
        assert "config" not in specification, "the page's theme decides on colours"


def test_charts_name_no_address_but_their_schema(summary):
    for specification in charts(summary).values():
        text = json.dumps({key: value for key, value in specification.items() if key != "$schema"})
        assert "http" not in text


def test_the_library_can_stand_in_a_page():
    assert "</script" not in scripts().lower()
    assert "vegaEmbed" in scripts()
    assert len(scripts()) < 2_000_000
