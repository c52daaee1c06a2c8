"""Layer importance and the map of adapters in figures, charts, words, tables and page."""

import pytest

from lorascope.report.chart_data import chart_data
from lorascope.report.charts import charts
from lorascope.report.figures import drawings
from lorascope.report.figures.layers import unet_of
from lorascope.report.latex import tables
from lorascope.report.page import render_page
from lorascope.report.summary import Summary, load_summary
from lorascope.report.text import layer_name, problems, text_summary, where
from lorascope.stats.aggregate import aggregate
from ranked_layers import analyses, placed
from synthetic_study import make_study

NAMES = {"layers", "ablation", "adapter_map"}
EMPTY = '<svg viewBox="0 0 1 1" width="1"></svg>'


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranked")
    beside = analyses(folder) | placed(folder)
    study = make_study(folder, {("all", "stats"): 0.5}, seeds=2) | {"analyses": beside}
    aggregate(study, folder / "out")
    return load_summary(folder / "out")


@pytest.fixture
def bare(summary):
    """The same study without any of it."""
    without = {name: [] for name in ("layers", "layer_groups", "layer_ablations", "adapter_map")}
    return Summary(summary.results | without | {"analyses": {}})


def words_of(figure):
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_figures_and_charts_are_there_where_their_data_are(summary, bare):
    assert {drawing.name for drawing in drawings(summary)} - {
        drawing.name for drawing in drawings(bare)
    } == NAMES
    assert set(charts(summary)) - set(charts(bare)) == NAMES


def test_blocks_stand_where_the_image_passes_them():
    blocks = ["up_blocks.1", "down_blocks.0", "mid_block", "up_blocks.2", "down_blocks.2", "up_blocks.3"]
    unet = unet_of([*blocks, "down_blocks.1", "other"])
    assert unet.rows == tuple((f"down_blocks.{i}", f"up_blocks.{3 - i}") for i in range(3))
    assert unet.bottom == ("mid_block", "other")
    assert unet_of(["down_blocks.0", "down_blocks.1", "up_blocks.1"]).rows[1] == ("down_blocks.1", None)


def test_the_heat_map_writes_each_group_in_its_block(summary):
    (drawing,) = [drawing for drawing in drawings(summary) if drawing.name == "layers"]
    words = words_of(drawing.draw(summary))
    assert {"mid_block", "down_blocks.0", "up_blocks.1", "attn1", "attn2", "to_q", "to_v"} <= words
    assert {"80", "50", "10"} <= words


def test_the_map_names_classes_and_variance(summary):
    (drawing,) = [drawing for drawing in drawings(summary) if drawing.name == "adapter_map"]
    figure = drawing.draw(summary)
    assert words_of(figure) == {"airplane", "bird"}
    assert "40.0 % of the variance" in figure.axes[0].get_xlabel()


def test_tables_behind_the_charts(summary):
    data = chart_data(summary)
    assert data["layer_groups"]["value"][:4] == [50, 0, 80, 30]
    assert data["ablation"]["question"] == ["kept alone"] * 2 + ["removed"] * 2
    assert data["class_names"] == {"class": ["airplane", "bird"], "x": [0.5, -0.5], "y": [0.0, 1.0]}


def test_the_words_follow_from_the_numbers(summary, bare):
    assert where(summary) == (
        "mid_block attn2.to_v is the most telling of 3 layers; alone it gets 80.0 % of the test adapters "
        "right [68.1, 88.2], no measurable loss from 90.0 % with all; without the best a measurable "
        "40.0 points are lost"
    )
    assert f"Where it sits: {where(summary)}" in text_summary(summary)
    assert where(bare) == ""


def test_what_is_enough_and_what_nobody_misses(summary):
    ablations = [
        row | {"p_holm": 1.0, "loss": 0.0} if row["choice"] == "best" else row
        for row in summary.results["layer_ablations"]
    ]
    told = where(Summary(summary.results | {"layer_ablations": ablations}))
    assert ", no measurable loss from 90.0 % with all;" in told
    assert told.endswith("without the best layer nothing measurable is lost: the others hold it too")


def test_layers_are_named_by_their_place():
    layer = {"layer": "up_blocks.1.attentions.2.transformer_blocks.0.attn1.to_q", "block": "up_blocks.1"}
    assert layer_name(layer | {"attention": "attn1", "projection": "to_q"}) == "up_blocks.1.2 attn1.to_q"


def test_latex_tables(summary, bare):
    written = tables(summary)
    assert set(written) - set(tables(bare)) == {"layers", "ablations"}
    assert r"mid\_block attn2.to\_v & 1 [1, 1] & 80.0" in written["layers"]
    assert r"removed & best & 1 & 50.0" in written["ablations"]


def test_the_page_has_a_section_a_tile_and_the_drawn_network(summary, bare):
    figures = {drawing.name: EMPTY for drawing in drawings(summary)}
    page = render_page(summary, figures, None, None)
    assert '<h2 id="layers">' in page
    assert "Most telling layer: mid_block attn2.to_v" in page
    assert "data:image/svg+xml;base64," in page
    assert page.count('data-chart="layers"') == page.count('data-chart="adapter_map"') == 1
    without = render_page(bare, figures, None, None)
    assert "Most telling layer" not in without
    assert 'id="layers"' not in without


def test_a_failed_ranking_is_among_the_problems(bare):
    state = {"importance": {"status": "failed", "reason": "no features of layer x"}}
    failed = Summary(bare.results | {"analyses": state})
    told = problems(failed)
    assert told == ["failed: importance: no features of layer x"]
    page = render_page(failed, {drawing.name: EMPTY for drawing in drawings(failed)}, None, None)
    assert "failed: importance: no features of layer x" in page[: page.index('<main id="main">')]
