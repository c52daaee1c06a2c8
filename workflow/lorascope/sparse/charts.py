"""The interactive charts of the page on gates, and the tables that they draw."""

from itertools import accumulate

import altair as alt

from lorascope.report.charts import specification
from lorascope.sparse.dashboard import looks

MEASURES = {
    "validation_accuracy": ("validation accuracy (%)", 100),
    "train_loss": ("training loss (nats)", 1),
    "activation_rate": ("activation rate (%)", 100),
    "energy_saved": ("energy saved (%)", 100),
    "threshold": ("threshold", 1),
    "seconds": ("seconds per epoch", 1),
}
ALONG = {"epoch": "epoch", "time": "training time (s)", "work": "GFLOPs"}
DASHES = ([1, 0], [5, 3], [2, 2])


def charts(comparison: dict) -> dict[str, dict]:
    """Return name → Vega-Lite specification."""
    return {"curves": _curves(comparison), "trade": _trade(comparison)}


def chart_data(comparison: dict) -> dict[str, dict[str, list]]:
    """Return name → column → values."""
    curves = [
        {
            "gate": gate,
            "epoch": own["epoch"][place],
            "time": times[place],
            "work": work[place],
            "measure": words,
            "value": scale * own[name][place],
        }
        for gate, own in comparison["curves"].items()
        for times, work in [(list(accumulate(own["seconds"])), [x / 1e9 for x in accumulate(own["flops"])])]
        for name, (words, scale) in MEASURES.items()
        for place in range(len(own["epoch"]))
        if own[name][place] is not None
    ]
    ends = [
        {
            "gate": record["gate"],
            "seconds": record["seconds_mean"],
            **{end: _percent(record[f"validation_accuracy_{end}"]) for end in ("mean", "low", "high")},
        }
        for record in comparison["gates"]
    ]
    return {name: _columns(rows) for name, rows in (("curves", curves), ("trade", ends))}


def _columns(rows: list[dict]) -> dict[str, list]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _styles(comparison: dict) -> tuple[alt.Color, alt.StrokeDash]:
    gates = list(comparison["curves"])
    dashes = [DASHES[index // 6 % len(DASHES)] for index in range(len(gates))]
    legend = alt.Legend(title=None, orient="top", columns=4, symbolType="stroke")
    return (
        alt.Color("gate:N", sort=gates, scale=alt.Scale(domain=gates), legend=legend),
        alt.StrokeDash("gate:N", sort=gates, scale=alt.Scale(domain=gates, range=dashes), legend=legend),
    )


def _curves(comparison: dict) -> dict:
    shown = alt.param(
        name="shown",
        value=MEASURES["validation_accuracy"][0],
        bind=alt.binding_select(options=[words for words, _ in MEASURES.values()], name="Show "),
    )
    along = alt.param(
        name="along",
        value="epoch",
        bind=alt.binding_select(options=list(ALONG), labels=list(ALONG.values()), name="against "),
    )
    colour, dash = _styles(comparison)
    base = (
        alt.Chart(alt.NamedData(name="curves"))
        .transform_filter("datum.measure == shown")
        .transform_calculate(place="datum[along]")
    )
    tips = ["gate:N", "epoch:Q", alt.Tooltip("time:Q", format=".1f"), alt.Tooltip("value:Q", format=".3f")]
    line = base.mark_line(strokeWidth=1.8, point={"size": 14}).encode(
        x=alt.X("place:Q", title=None, scale=alt.Scale(nice=False), axis=alt.Axis(format="~g")),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
        color=colour,
        strokeDash=dash,
        order="epoch:Q",
        tooltip=tips,
    )
    chart = alt.layer(line, height=340).add_params(shown, along)
    return specification(chart.properties(description="Training of every gate, mean over seeds"))


def _trade(comparison: dict) -> dict:
    gates = list(looks(list(comparison["curves"])))
    colour = alt.Color("gate:N", sort=gates, scale=alt.Scale(domain=gates), legend=None)
    base = alt.Chart(alt.NamedData(name="trade")).encode(
        y=alt.Y("gate:N", sort=gates, axis=alt.Axis(title=None, ticks=False, domain=False, grid=False)),
        color=colour,
    )
    interval = base.mark_rule(strokeWidth=1.4).encode(
        x=alt.X("low:Q", title="final validation accuracy (%)", scale=alt.Scale(zero=False)), x2="high:Q"
    )
    tips = [
        "gate:N",
        *(alt.Tooltip(f"{name}:Q", format=".1f") for name in ("mean", "low", "high", "seconds")),
    ]
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x="mean:Q", tooltip=tips)
    chart = alt.layer(interval, points, height=alt.Step(26))
    return specification(chart.properties(description="Final validation accuracy of every gate"))
