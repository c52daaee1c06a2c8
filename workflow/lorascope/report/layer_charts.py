"""Interactive charts beside the cells, with their tables: layer groups, ablations, the map of adapters.

Their rows belong to no cell, so the page's filters leave them as they are.
"""

import altair as alt
import numpy as np

from lorascope.report.figures.layers import has_layers, unet_of
from lorascope.report.figures.map import has_map
from lorascope.report.summary import Summary

# Styles that page.js fills with the theme's colours.
REFERENCE = "reference"
GROUP_MEASURES = {"accuracy alone (%)": "accuracy", "points lost without it": "loss"}
QUESTIONS = {"keep": "kept alone", "remove": "removed"}


def tables(summary: Summary) -> dict[str, list[dict]]:
    """Return name → rows; shares are in per cent."""
    found = {}
    if has_layers(summary):
        found |= {"layer_groups": _groups(summary), "ablation": _ablation(summary)}
    if has_map(summary):
        found |= {"adapter_map": _places(summary), "class_names": _class_names(summary)}
    return found


def charts(summary: Summary) -> dict[str, alt.Chart | alt.LayerChart]:
    """Return name → chart; the names are those of the figures that they stand for."""
    found = {}
    if has_layers(summary):
        found |= {"layers": _groups_chart(summary), "ablation": _ablation_chart()}
    if has_map(summary):
        found["adapter_map"] = _map_chart(summary)
    return found


def _groups(summary: Summary) -> list[dict]:
    return [
        {
            "block": group["block"],
            "place": f"{group['attention']} {group['projection']}",
            "measure": label,
            "value": 100 * group[name],
            "low": 100 * group[f"{name}_low"],
            "high": 100 * group[f"{name}_high"],
            "layers": group["layers"],
        }
        for group in summary.results["layer_groups"]
        for label, name in GROUP_MEASURES.items()
        if group[name] is not None
    ]


def _ablation(summary: Summary) -> list[dict]:
    return [
        {
            "question": QUESTIONS[row["question"]],
            "choice": row["choice"],
            "k": row["k"],
            "value": 100 * row["test_accuracy"],
            "low": 100 * row["test_accuracy_low"],
            "high": 100 * row["test_accuracy_high"],
            "chance": 100 * summary.results["chance"],
        }
        for row in summary.results["layer_ablations"]
        if row["question"] in QUESTIONS
    ]


def _places(summary: Summary) -> list[dict]:
    names = ("adapter", "class", "x", "y")
    return [
        {**{name: row[name] for name in names}, "part": "test" if row["part"] == "test" else "learnt from"}
        for row in summary.results["adapter_map"]
    ]


def _class_names(summary: Summary) -> list[dict]:
    table = summary.results["adapter_map"]
    found = []
    for name in summary.results["classes"]:
        places = [(row["x"], row["y"]) for row in table if row["class"] == name]
        if places:
            x, y = np.median(places, axis=0).tolist()
            found.append({"class": name, "x": x, "y": y})
    return found


def _table(name: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=name))


def _choice(name: str, options: list[str], label: str) -> alt.Parameter:
    return alt.param(name=name, value=options[0], bind=alt.binding_select(options=options, name=f"{label} "))


def _tips(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f, format=".1f") if f.endswith(":Q") else alt.Tooltip(f) for f in fields]


def _groups_chart(summary: Summary) -> alt.LayerChart:
    """Block × attention and projection, in the order in which the image passes the blocks."""
    measure = _choice("group_score", list(GROUP_MEASURES), "Show")
    unet = unet_of(list(dict.fromkeys(group["block"] for group in summary.results["layer_groups"])))
    left, right = ([pair[side] for pair in unet.rows if pair[side]] for side in (0, 1))
    order = [*left, *unet.bottom, *reversed(right)]
    axis = {"title": None, "ticks": False, "domain": False, "grid": False}
    base = (
        _table("layer_groups")
        .transform_filter("datum.measure == group_score")
        .encode(
            x=alt.X("place:N", axis=alt.Axis(labelAngle=-40, **axis)),
            y=alt.Y("block:N", sort=order, axis=alt.Axis(**axis)),
        )
    )
    cells = base.mark_rect().encode(
        color=alt.Color("value:Q", scale=alt.Scale(zero=True, interpolate="rgb"), legend=None),
        tooltip=_tips("block:N", "place:N", "measure:N", "value:Q", "low:Q", "high:Q", "layers:N"),
    )
    words = base.mark_text(fontSize=11).encode(text=alt.Text("value:Q", format=".0f"))
    chart = alt.layer(cells, words, height=alt.Step(26)).add_params(measure)
    return chart.properties(description="What each block, attention and projection tells of the label")


def _ablation_chart() -> alt.LayerChart:
    question = _choice("asked", list(QUESTIONS.values()), "Layers that are")
    base = _table("ablation").transform_filter("datum.question == asked")
    colour = alt.Color("choice:N", sort=["best", "random"], legend=alt.Legend(title=None, orient="top"))
    x = alt.X("k:O", title="number of layers", axis=alt.Axis(labelAngle=0))
    y = alt.Y(
        "value:Q", title="test accuracy (%)", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=5)
    )
    chance = base.mark_rule(style=REFERENCE).encode(y="mean(chance):Q")
    interval = base.mark_rule(opacity=0.6).encode(x=x, y="low:Q", y2="high:Q", color=colour)
    line = base.mark_line(strokeWidth=1.6).encode(x=x, y=y, color=colour)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=x,
        y=y,
        color=colour,
        shape=alt.Shape("choice:N", sort=["best", "random"], legend=None),
        tooltip=_tips("question:N", "choice:N", "k:N", "value:Q", "low:Q", "high:Q"),
    )
    chart = alt.layer(chance, interval, line, points, height=300).add_params(question)
    return chart.properties(description="Test accuracy of the best layers and of random ones")


def _map_chart(summary: Summary) -> alt.LayerChart:
    shares = summary.results["adapter_map"][0]
    axis = alt.Axis(labels=False, ticks=False, tickCount=6)
    x, y = (
        alt.X("x:Q", title=f"first component ({100 * shares['x_variance']:.1f} %)", axis=axis),
        alt.Y("y:Q", title=f"second component ({100 * shares['y_variance']:.1f} %)", axis=axis),
    )
    points = (
        _table("adapter_map")
        .mark_point(filled=True, size=45)
        .encode(
            x=x,
            y=y,
            color=alt.Color("class:N", legend=None),
            shape=alt.Shape("class:N", legend=None),
            opacity=alt.Opacity(
                "part:N",
                scale=alt.Scale(domain=["learnt from", "test"], range=[0.35, 1]),
                legend=alt.Legend(title=None, orient="top", symbolType="circle"),
            ),
            tooltip=_tips("adapter:N", "class:N", "part:N"),
        )
    )
    names = _table("class_names").mark_text(fontSize=12, fontWeight="bold").encode(x=x, y=y, text="class:N")
    chart = alt.layer(points, names, height=420)
    return chart.properties(description="Adapters by the leading differences of their updates")
