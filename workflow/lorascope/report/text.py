"""The verdict in words. Every word follows from a number in results.json; nothing is known beforehand."""

from pathlib import Path

from lorascope.data.rejected import REJECTED_FILE, rejected_words
from lorascope.report.cautions import cautions, controls_line, passport_line, random_line, random_row
from lorascope.report.numbers import NOTHING, interval, percent, points, share
from lorascope.report.summary import Summary, load_summary
from lorascope.stats.cells import DONE, FAILED, MISSING, PARTIAL
from lorascope.stats.controls import LESS, MORE, SAME
from lorascope.stats.versions import differing
from lorascope.wording import plural

# Of a p-value after Holm's correction.
SIGNIFICANT = 0.05
SANITY_WARNING = (
    "Sanity check only: so few adapters that training and test use the same ones. "
    "The scores say that the machinery runs, and nothing about adapters it has not seen."
)


def verdict(summary_dir: str | Path, page: str | Path | None = None) -> str:
    """Return the lines that end a study: best cell, drop, what did not finish, where the page is.

    Raises:
        LorascopeError: the folder holds no readable results.json.
    """
    lines = _verdict_lines(load_summary(summary_dir))
    lines += [f"Page: {page}"] if page else []
    return "\n".join(lines)


def _verdict_lines(summary: Summary) -> list[str]:
    lines = warnings(summary)
    lines += [answer(summary), best_line(summary), drop_line(summary), where_line(summary)]
    lines += [random_line(summary), controls_line(summary), passport_line(summary), cells_line(summary)]
    lines += [f"  {problem}" for problem in problems(summary)]
    return [line for line in lines if line]


def text_summary(summary: Summary) -> str:
    """The study in plain text: the verdict, then every cell in a table of fixed width."""
    lines = [f"{summary.results['dataset']}: test accuracy in per cent", ""]
    lines += _verdict_lines(summary)
    lines += [ranking(summary), ""]
    heads = ["representation", *summary.layer_sets]
    rows = [
        [summary.label(row), *(_cell_words(summary.cell(row, name)) for name in summary.layer_sets)]
        for row in summary.rows
    ]
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    for row in [heads, ["-" * width for width in widths], *rows]:
        words = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        lines.append("  ".join(words).rstrip())
    return "\n".join(lines) + "\n"


def _cell_words(cell: dict | None) -> str:
    if cell is None:
        return NOTHING
    if not cell["seeds"]:
        return cell["status"]
    std = cell["test_accuracy_std"]
    spread = "" if std is None else f" ± {share(std)}"
    within = interval(cell["test_accuracy_adapters_low"], cell["test_accuracy_adapters_high"])
    return f"{share(cell['test_accuracy_mean'])}{spread} {within}"


def warnings(summary: Summary) -> list[str]:
    """What a reader must know before any score: one sentence or two each."""
    found = [SANITY_WARNING] if summary.results["sanity"] else []
    source = summary.results["manifest"]["source"]
    if isinstance(source, dict) and source.get("rejected"):
        listed = ((summary.results["passport"] or {}).get("health") or {}).get("rejected_list")
        where = listed or f"{REJECTED_FILE} beside the prepared data"
        found.append(f"{rejected_words(source)} could not be used; {where} says which and why.")
    if absent := summary.results["curves"]["absent"]:
        count = f"{absent} of {plural(summary.results['curves']['planned'], 'learning curve')}"
        found.append(f"{count} could not be trained; the logs under scale/ say why.")
    across = summary.results["duplicates"]["across_parts"]
    if across and not summary.results["sanity"]:
        sets = plural(across, "set")
        found.append(f"{sets} of adapters with equal weights lie in two parts: the scores are too high.")
    return found + _versions_warning(summary) + cautions(summary)


def _versions_warning(summary: Summary) -> list[str]:
    mixed = differing(summary.results.get("made_with", {}), summary.results["versions"])
    if not mixed:
        return []
    named = "; ".join(f"{name} {' and '.join(versions)}" for name, versions in mixed.items())
    return [
        f"Not all of this was made by the same libraries and machines ({named}): last digits may differ "
        "for that alone."
    ]


def ranking(summary: Summary) -> str:
    """What the pairwise tests allow to say about the most accurate representation on the reference layers."""
    reference = summary.results["reference"]
    pairs = [pair for pair in summary.results["comparisons"] if pair["layer_set"] == reference]
    if not pairs:
        return ""
    first = max(pairs, key=lambda pair: pair["accuracy"])
    own = [pair for pair in pairs if all(pair[name] == first[name] for name in ("representation", "probe"))]
    beaten = [pair for pair in own if pair["p_holm"] < SIGNIFICANT]
    against = [pair["other"] for pair in own if pair not in beaten]
    # Pairs are compared within a probe.
    probe = f" with {first['probe']}" if len(summary.probes) > 1 else ""
    told = f"On {reference}{probe}, {first['representation']} scores highest on the test part"
    if not against:
        return f"{told}, measurably higher than every other representation."
    return (
        f"{told}: measurably higher than {len(beaten)} of {plural(len(own), 'other')}; "
        f"no measurable difference from {', '.join(against)}."
    )


def answer(summary: Summary) -> str:
    """The study's answer in one sentence."""
    best = summary.best
    if best is None:
        return "There is no answer yet: no cell has finished."
    tested = "the adapters that the probe was trained on" if summary.results["sanity"] else "unseen adapters"
    if not above_chance(best):
        return f"No measurable knowledge: the best cell predicts the class of {tested} no better than chance."
    told = f"The weights reveal the class of {percent(best['test_accuracy_mean'])} of {tested}"
    return f"{told}{_answer_on_drop(summary)}."


def _answer_on_drop(summary: Summary) -> str:
    drop, layer_set = summary.headline_drop, summary.question
    if layer_set is None:
        return ""
    if drop is None or drop["drop"] is None:
        return f"; what the {layer_set} layers alone would tell is not known yet"
    kind = drop_kind(drop)
    if kind == "drop":
        lost = f"a measurable {points(drop['drop'])} are lost"
        return f"; with the {layer_set} layers only, {lost}{_beside_random(summary)}"
    if kind == "gain":
        return f"; with the {layer_set} layers only, a measurable {points(-drop['drop'])} are gained"
    return f"; with the {layer_set} layers only, there is no measurable drop"


def _beside_random(summary: Summary) -> str:
    """Whether a drop says anything of these layers: what as many random ones lose."""
    row = random_row(summary)
    if row is None:
        return ""
    words = {SAME: "no more than", MORE: "more than", LESS: "less than"}
    return f", {words[row['status']]} with as many random layers" if row["status"] in words else ""


def best_line(summary: Summary) -> str:
    """The cell that validation chose."""
    return "" if summary.best is None else f"Best cell: {score_line(summary.best)}"


def score_line(cell: dict) -> str:
    """A cell with its accuracy, test-set interval, chance, and spread over seeds; or why it has none."""
    if not cell["seeds"]:
        return f"{cell_name(cell)}: {cell['status']}: {cell['reason']}"
    spread = cell["test_accuracy_std"]
    over_seeds = f"± {percent(spread)} over {cell['seeds']} seeds" if spread is not None else "one seed only"
    within = interval(cell["test_accuracy_adapters_low"], cell["test_accuracy_adapters_high"])
    tested = f"{plural(cell['test_adapters'], 'test adapter')} {within}, chance {percent(cell['chance'])}"
    return f"{cell_name(cell)}: {percent(cell['test_accuracy_mean'])} of {tested}; {over_seeds}"


def drop_line(summary: Summary) -> str:
    """The drop of the best cell's representation, absolute and relative, and whether it is measurable."""
    drop = summary.headline_drop
    if drop is None:
        return ""
    arrow = f"Drop {drop['reference']} → {drop['layer_set']} ({summary.label_of(drop)})"
    if drop["drop"] is None:
        return f"{arrow}: unknown ({drop['reason']})"
    relative = f"{percent(drop['relative_drop'])} relative"
    within = interval(drop["relative_drop_low"], drop["relative_drop_high"])
    words = {"drop": "a measurable drop", "gain": "a measurable gain", "none": "no measurable drop"}
    return (
        f"{arrow}: {points(drop['drop'])} {interval(drop['drop_low'], drop['drop_high'])}, "
        f"{relative} {within}: {words[drop_kind(drop)]}"
    )


def where(summary: Summary) -> str:
    """Where in the network the label sits: the most telling layer, and how many of the best are enough."""
    layers = summary.results["layers"]
    if not layers:
        return ""
    first = layers[0]
    equal = sum(layer["rank_low"] <= 1 for layer in layers) - 1
    shared = f" ({plural(equal, 'other')} may be as good)" if equal else ""
    told = (
        f"{layer_name(first)} is the most telling of {plural(len(layers), 'layer')}{shared}; "
        f"alone it gets {percent(first['test_accuracy'])} of the test adapters right "
        f"{interval(first['test_accuracy_low'], first['test_accuracy_high'])}"
    )
    return f"{told}{_where_ablated(summary)}"


def where_line(summary: Summary) -> str:
    """The same as a line of the verdict."""
    told = where(summary)
    return told and f"Where it sits: {told}"


def layer_name(layer: dict) -> str:
    """Name a layer by block and number of the attention in it, attention and projection."""
    inside = layer["layer"].removeprefix(f"{layer['block']}.").split(".")
    # There is one attention in the middle block.
    numbered = inside[0] == "attentions" and not layer["block"].startswith("mid")
    block = f"{layer['block']}.{inside[1]}" if numbered else layer["block"]
    return f"{block} {layer['attention']}.{layer['projection']}"


def _where_ablated(summary: Summary) -> str:
    """The fewest of the best layers that lose nothing measurable, and what is lost without the best."""
    table = summary.results["layer_ablations"]
    kept, removed = (
        [row for row in table if row["question"] == question and row["choice"] == "best"]
        for question in ("keep", "remove")
    )
    told = ""
    if enough := next((row for row in kept if row["p_holm"] >= SIGNIFICANT), None):
        every = next(row for row in table if row["question"] == "all")
        alone = f"the {enough['k']} best alone get {percent(enough['test_accuracy'])} right"
        same = f"no measurable loss from {percent(every['test_accuracy'])} with all"
        told = f", {same}" if enough["k"] == 1 else f"; {alone}, {same}"
    return told + _where_missed(removed)


def _where_missed(removed: list[dict]) -> str:
    if not removed:
        return ""
    lost = (row for row in removed if row["p_holm"] < SIGNIFICANT and row["loss"] > 0)
    if missed := next(lost, None):
        best = "the best" if missed["k"] == 1 else f"the {missed['k']} best"
        return f"; without {best} a measurable {points(missed['loss'])} are lost"
    most = removed[-1]["k"]
    best = "the best layer" if most == 1 else f"the {most} best layers"
    return f"; without {best} nothing measurable is lost: the others hold it too"


def cells_line(summary: Summary) -> str:
    """How many cells there are of each status."""
    statuses = [cell["status"] for cell in summary.cells]
    others = [f"{statuses.count(name)} {name}" for name in (PARTIAL, FAILED, MISSING) if name in statuses]
    return ", ".join([f"Cells: {statuses.count(DONE)} of {len(statuses)} done", *others])


def problems(summary: Summary) -> list[str]:
    """One line for every cell, and for what is computed beside them, that is not done: which, and why."""
    cells = [f"{cell['status']}: {cell_name(cell)}: {cell['reason']}" for cell in summary.unfinished]
    return cells + problems_beside(summary)


def problems_beside(summary: Summary) -> list[str]:
    """One line for each step beside the cells that is not done: which, and why."""
    return [
        f"{state['status']}: {name.replace('_', ' ')}: {state['reason']}"
        for name, state in summary.results["analyses"].items()
        if state["status"] != DONE
    ]


def cell_name(cell: dict) -> str:
    """Name a cell: representation × layer set (probe)."""
    return f"{cell['representation']} × {cell['layer_set']} ({cell['probe']})"


def drop_kind(drop: dict) -> str:
    """What the interval of a drop allows to say: "drop", "gain", or "none" where it holds zero."""
    if drop["drop_low"] > 0:
        return "drop"
    return "gain" if drop["drop_high"] < 0 else "none"


def above_chance(cell: dict) -> bool:
    """Whether even the lower end of the test-set interval beats chance."""
    return cell["test_accuracy_adapters_low"] > cell["chance"]
