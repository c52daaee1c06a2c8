"""The interactive charts of the page, written with Vega-Altair and drawn by Vega, which the page carries.

A chart holds neither numbers nor colours: both are the page's, which filters the former and takes the latter
from its light or dark theme (``templates/page.js``).
"""

from functools import cache

import altair as alt
import vl_convert

from lorascope.report import chart_data, layer_charts
from lorascope.report.control_rows import NO_LAYERS
from lorascope.report.figures.controls import has_controls
from lorascope.report.figures.drops import has_drops
from lorascope.report.summary import Summary
from lorascope.report.text import cell_name

# Styles that page.js fills with the theme's colours.
REFERENCE, FAILURE = "reference", "failure"
LANE = 14
THREE_BEST = "the three best"


def charts(summary: Summary) -> dict[str, dict]:
    """Return name → Vega-Lite specification; the names are those of the figures that they replace."""
    if not summary.found:
        return {}
    drawn = {
        "accuracy": _scores(summary),
        "parts": _parts(summary),
        "precision_recall": _precision_recall(summary),
        "cost": _cost(summary),
        "learning": _learning(summary),
        "classes": _classes(summary),
        "calibration": _calibration(summary),
    }
    if has_controls(summary):
        drawn["controls"] = _controls(summary)
    if has_drops(summary):
        drawn["drops"] = _drops(summary)
    drawn |= layer_charts.charts(summary)
    return {name: specification(chart) for name, chart in drawn.items()}


@cache
def scripts() -> str:
    """The JavaScript of Vega, Vega-Lite and Vega-Embed as one text that needs nothing else."""
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    return vl_convert.javascript_bundle(vl_version=version)


def specification(chart: alt.Chart | alt.LayerChart) -> dict:
    """Return a chart as wide as the page's column, in the page's own look."""
    written = chart.properties(width="container").to_dict()
    # Altair's own look would win over the page's.
    written.pop("config", None)
    # The width is that of the page's column, the height that of the rows.
    return written | {"autosize": {"type": "fit-x", "contains": "padding"}}


def _table(name: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=name))


def _choice(name: str, options: list[str], label: str, value: str | None = None) -> alt.Parameter:
    """A select element above the chart."""
    return alt.param(
        name=name, value=value or options[0], bind=alt.binding_select(options=options, name=f"{label} ")
    )


def _labels(summary: Summary) -> list[str]:
    return [summary.label(row) for row in summary.rows]


def _rows(summary: Summary) -> alt.Y:
    axis = alt.Axis(title=None, ticks=False, domain=False, grid=False, labelLimit=200)
    return alt.Y("row:N", sort=_labels(summary), axis=axis)


def _lanes(summary: Summary) -> alt.YOffset:
    return alt.YOffset("layer_set:N", sort=summary.layer_sets, scale=alt.Scale(domain=summary.layer_sets))


def _colour(summary: Summary) -> alt.Color:
    scale, key = alt.Scale(domain=summary.layer_sets), alt.Legend(title=None, orient="top")
    return alt.Color("layer_set:N", scale=scale, legend=key)


def _shape(summary: Summary) -> alt.Shape:
    return alt.Shape("layer_set:N", scale=alt.Scale(domain=summary.layer_sets))


def _tooltips(*fields: str) -> list[alt.Tooltip]:
    """``name:Q`` is written with one digit after the point."""
    return [
        alt.Tooltip(field, format=".1f") if field.endswith(":Q") else alt.Tooltip(field)
        for field in ("row:N", "layer_set:N", *fields)
    ]


def _height(lanes: int) -> dict:
    """The height of a chart whose rows hold so many marks below each other."""
    return {"step": max(22, LANE * lanes + 8), "for": "position"}


def _scores(summary: Summary) -> alt.LayerChart:
    """A score of every cell: spread over seeds (thick), for the accuracy also the test-set interval."""
    measures = list(chart_data.MEASURES)
    measure = _choice("score", measures, "Show", chart_data.ACCURACY)
    x = alt.X("value:Q", title=None, scale=alt.Scale(zero=True))
    place = {"y": _rows(summary), "yOffset": _lanes(summary), "color": _colour(summary)}
    base = _table("scores").transform_filter("datum.measure == score")
    spread = base.mark_rule(strokeWidth=6, opacity=0.4).encode(x="std_low:Q", x2="std_high:Q", **place)
    interval = base.mark_rule(strokeWidth=1.4).encode(x="low:Q", x2="high:Q", **place)
    chance = base.mark_rule(style=REFERENCE).encode(x="mean(chance):Q")
    tips = _tooltips("value:Q", "std:Q", "low:Q", "high:Q", "seeds:N", "status:N")
    points = base.mark_point(filled=True, size=55, opacity=1)
    points = points.encode(x=x, shape=_shape(summary), tooltip=tips, **place)
    failed = _table("unfinished").mark_text(style=FAILURE, align="left", dx=4)
    failed = failed.encode(
        x=alt.value(0),
        y=place["y"],
        yOffset=place["yOffset"],
        text="words:N",
        tooltip=_tooltips("reason:N"),
    )
    chart = alt.layer(spread, interval, chance, points, failed, height=_height(len(summary.layer_sets)))
    return chart.add_params(measure).properties(description="Scores by representation and layer set")


def _controls(summary: Summary) -> alt.LayerChart:
    """The best cell of every layer set above the controls, with test-set intervals."""
    names = [*summary.layer_sets, NO_LAYERS]
    axis = alt.Axis(title=None, ticks=False, domain=False, grid=False, labelLimit=200)
    scale, key = alt.Scale(domain=names), alt.Legend(title=None, orient="top")
    place = {
        # Rows come in the order of the table.
        "y": alt.Y("row:N", sort=None, axis=axis),
        "yOffset": alt.YOffset("of:N", sort=names, scale=scale),
        "color": alt.Color("of:N", scale=scale, legend=key),
    }
    base = _table("controls")
    interval = base.mark_rule(strokeWidth=1.4).encode(
        x=alt.X("low:Q", title="test accuracy (%)", scale=alt.Scale(zero=True)), x2="high:Q", **place
    )
    chance = base.mark_rule(style=REFERENCE).encode(x="mean(chance):Q")
    tips = [alt.Tooltip(name) for name in ("row:N", "of:N", "by:N")]
    tips += [alt.Tooltip(name, format=".1f") for name in ("value:Q", "low:Q", "high:Q")]
    points = base.mark_point(filled=True, size=55, opacity=1)
    points = points.encode(x="value:Q", shape=alt.Shape("of:N", scale=scale), tooltip=tips, **place)
    chart = alt.layer(interval, chance, points, height=_height(len(names)))
    return chart.properties(description="Test accuracy of the best cells and of the controls")


def _drops(summary: Summary) -> alt.LayerChart:
    """Drop with its test-set interval; hollow where that holds 0."""
    measure = _choice("unit", list(chart_data.DROPS), "Drop in")
    others = [name for name in summary.layer_sets if name != summary.results["reference"]]
    offset = alt.YOffset("layer_set:N", sort=others, scale=alt.Scale(domain=others))
    place = {"y": _rows(summary), "yOffset": offset, "color": _colour(summary)}
    base = _table("drops").transform_filter("datum.measure == unit")
    zero = alt.Chart(alt.InlineData([{"zero": 0}])).mark_rule(style=REFERENCE).encode(x="zero:Q")
    interval = base.mark_rule(strokeWidth=1.4).encode(x=alt.X("low:Q", title=None), x2="high:Q", **place)
    tips = [*_tooltips("value:Q", "low:Q", "high:Q"), alt.Tooltip("p_holm:Q", format=".3f")]
    x, shape = alt.X("value:Q", title=None), _shape(summary)
    holds_zero = "datum.low <= 0 && datum.high >= 0"
    hollow = base.transform_filter(holds_zero).mark_point(size=55, opacity=1, strokeWidth=1.6)
    solid = base.transform_filter(f"!({holds_zero})").mark_point(size=55, opacity=1, filled=True)
    hollow, solid = (mark.encode(x=x, shape=shape, tooltip=tips, **place) for mark in (hollow, solid))
    failed = _table("unfinished_drops").mark_text(style=FAILURE, align="left", dx=6)
    failed = failed.encode(x=alt.datum(0), y=place["y"], yOffset=offset, text="words:N")
    chart = alt.layer(zero, interval, hollow, solid, failed, height=_height(len(others))).add_params(measure)
    return chart.properties(description="Drop from the reference layer set by representation")


def _parts(summary: Summary) -> alt.LayerChart:
    """Accuracy on the three parts as bars, for one layer set at a time."""
    shown = _choice("parts_of", summary.layer_sets, "Layer set")
    parts = list(chart_data.PARTS)
    opacity = alt.Opacity(
        "part:O",
        sort=parts,
        scale=alt.Scale(domain=parts, range=[0.25, 1]),
        legend=alt.Legend(title=None, orient="top", symbolType="square"),
    )
    base = _table("parts").transform_filter("datum.layer_set == parts_of")
    colour = alt.Color("layer_set:N", scale=alt.Scale(domain=summary.layer_sets), legend=None)
    offset = alt.YOffset("part:N", sort=parts)
    bars = base.mark_bar().encode(
        x=alt.X("accuracy:Q", title="accuracy (%)", scale=alt.Scale(domain=[0, 100])),
        y=_rows(summary),
        yOffset=offset,
        color=colour,
        opacity=opacity,
        tooltip=_tooltips("part:N", "accuracy:Q", "gap:Q"),
    )
    gap = (
        base.transform_filter("datum.part == 'test'")
        .mark_text(align="left", dx=3, fontSize=10)
        .encode(
            x="accuracy:Q",
            y=_rows(summary),
            yOffset=offset,
            text=alt.Text("gap_text:N"),
        )
        .transform_calculate(gap_text="'gap ' + format(datum.gap, '.0f')")
    )
    chart = alt.layer(bars, gap, height=_height(len(parts))).add_params(shown)
    return chart.properties(description="Accuracy on the training, validation and test part")


def _precision_recall(summary: Summary) -> alt.Chart:
    scale, axis = alt.Scale(zero=False, padding=12), alt.Axis(tickCount=6)
    chart = _table("means").mark_point(filled=True, size=80, opacity=0.9)
    chart = chart.encode(
        x=alt.X("recall:Q", title="recall, macro (%)", scale=scale, axis=axis),
        y=alt.Y("precision:Q", title="precision, macro (%)", scale=scale, axis=axis),
        color=_colour(summary),
        shape=_shape(summary),
        tooltip=_tooltips("precision:Q", "recall:Q", "f1:Q"),
    )
    return chart.properties(height=300, description="Precision against recall of every cell")


def _cost(summary: Summary) -> alt.Chart:
    axis = alt.Axis(tickCount=6)
    chart = _table("means").mark_point(filled=True, size=80, opacity=0.9)
    chart = chart.encode(
        x=alt.X("seconds:Q", title="seconds of training per seed", scale=alt.Scale(domainMin=0), axis=axis),
        y=alt.Y("accuracy:Q", title="test accuracy (%)", scale=alt.Scale(zero=False, padding=12), axis=axis),
        color=_colour(summary),
        shape=_shape(summary),
        tooltip=[*_tooltips("seconds:Q", "accuracy:Q"), alt.Tooltip("features:Q", format=",")],
    )
    return chart.properties(height=300, description="Seconds of training against test accuracy")


def _learning(summary: Summary) -> alt.LayerChart:
    measure = _choice("curve", list(chart_data.CURVES), "Show")
    which = _choice("learner", [THREE_BEST, *_labels(summary)], "of")
    shown = f"learner == '{THREE_BEST}' ? datum.best : datum.row == learner"
    base = _table("curves").transform_filter("datum.measure == curve").transform_filter(shown)
    colour = alt.Color("row:N", legend=alt.Legend(title=None, orient="top"))
    dash = alt.StrokeDash(
        "layer_set:N",
        scale=alt.Scale(domain=summary.layer_sets),
        legend=alt.Legend(title=None, orient="top", symbolType="stroke"),
    )
    x = alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False))
    band = base.mark_area(opacity=0.12).encode(
        x=x, y=alt.Y("low:Q", title=None), y2="high:Q", color=colour, detail="layer_set:N"
    )
    line = base.mark_line(strokeWidth=1.8).encode(
        x=x,
        y=alt.Y("value:Q", title=None),
        color=colour,
        strokeDash=dash,
        tooltip=_tooltips("epoch:N", "value:Q"),
    )
    chart = alt.layer(band, line, height=300).add_params(measure, which)
    return chart.properties(description="Learning curves, mean and deviation over seeds")


def _classes(summary: Summary) -> alt.LayerChart:
    measure = _choice("class_score", list(chart_data.CLASS_MEASURES), "Show")
    shown = _choice("classes_of", summary.layer_sets, "on")
    base = (
        _table("classes")
        .transform_filter("datum.measure == class_score")
        .transform_filter("datum.layer_set == classes_of")
        .encode(
            x=alt.X("class:N", axis=alt.Axis(title=None, labelAngle=-40, ticks=False, domain=False)),
            y=_rows(summary),
        )
    )
    cells = base.mark_rect().encode(
        color=alt.Color("value:Q", scale=alt.Scale(domain=[0, 100], interpolate="rgb"), legend=None),
        tooltip=_tooltips("class:N", "measure:N", "value:Q", "adapters:N"),
    )
    words = base.mark_text(fontSize=11).encode(text=alt.Text("value:Q", format=".0f"))
    chart = alt.layer(cells, words, height=alt.Step(24)).add_params(measure, shown)
    return chart.properties(description="Recall, precision or F1 of every class by representation")


def _calibration(summary: Summary) -> alt.LayerChart:
    shown = _choice("calibrated", _labels(summary), "Representation", summary.label(summary.best_row))
    base = _table("reliability").transform_filter("datum.row == calibrated")
    ends = alt.InlineData([{"share": 0}, {"share": 100}])
    diagonal = alt.Chart(ends).mark_line(style=REFERENCE).encode(x="share:Q", y="share:Q")
    shares, axis = alt.Scale(domain=[0, 100]), alt.Axis(tickCount=5)
    x = alt.X("confidence:Q", title="confidence (%)", scale=shares, axis=axis)
    interval = base.mark_rule(opacity=0.5).encode(
        x=x,
        y=alt.Y("low:Q", title="accuracy (%)", scale=shares, axis=axis),
        y2="high:Q",
        color=_colour(summary),
    )
    y = alt.Y("accuracy:Q", title="accuracy (%)", scale=shares, axis=axis)
    line = base.mark_line(strokeWidth=1.4).encode(x=x, y=y, color=_colour(summary))
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=x,
        y=y,
        color=_colour(summary),
        shape=_shape(summary),
        tooltip=_tooltips("confidence:Q", "accuracy:Q", "low:Q", "high:Q", "adapters:Q"),
    )
    chart = alt.layer(diagonal, interval, line, points, height=320).add_params(shown)
    return chart.properties(description="Reliability: accuracy against confidence")


def comparison_chart(cells: list[dict]) -> dict:
    """Test accuracy of the cells of two studies, A and B, one row a cell."""
    studies = ["A", "B"]
    rows = list(dict.fromkeys(cell_name(cell) for cell in cells))
    axis = alt.Axis(title=None, ticks=False, domain=False, grid=False, labelLimit=260)
    scale = alt.Scale(domain=studies)
    place = {
        "y": alt.Y("row:N", sort=rows, axis=axis),
        "yOffset": alt.YOffset("study:N", sort=studies, scale=scale),
        "color": alt.Color("study:N", scale=scale, legend=alt.Legend(title=None, orient="top")),
    }
    tips = [alt.Tooltip("row:N"), alt.Tooltip("study:N")]
    tips += [alt.Tooltip(name, format=".1f") for name in ("value:Q", "low:Q", "high:Q")]
    base = _table("compared")
    interval = base.mark_rule(strokeWidth=1.4).encode(
        x=alt.X("low:Q", title="test accuracy (%)", scale=alt.Scale(zero=True)), x2="high:Q", **place
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x="value:Q", shape=alt.Shape("study:N", scale=scale), tooltip=tips, **place
    )
    chart = alt.layer(interval, points, height=_height(len(studies)))
    return specification(chart.properties(description="Test accuracy of every cell in both studies"))
