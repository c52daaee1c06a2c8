"""What the passport and the controls of a study change about how its scores are to be read."""

from lorascope.passport.starts import MIXED, SHARED
from lorascope.passport.words import (
    duplicate_words,
    health_words,
    overlap_words,
    recipe_words,
    size_words,
    start_words,
)
from lorascope.report.numbers import percent, points
from lorascope.report.summary import Summary
from lorascope.stats.controls import FAILED, LESS, MISSING, MORE, SAME, SINGLE
from lorascope.wording import plural

# Cells that agree in these differ in the probe alone.
FEATURES = ("dataset", "representation", "layer_set")
NAMES = {
    "majority": "the majority class",
    "norms": "norms only",
    "recipe": "the recipe only",
    "recipe_and_losses": "recipe and losses only",
    "permuted": "permuted labels",
}


# A probe that ranks classes so well has found them; what it does not name, it fails to decide.
HIGH_AUROC = 0.9


def cautions(summary: Summary) -> list[str]:
    """Return what a reader must know of the data set, of controls and of probes, one sentence or two each."""
    passport, sanity = summary.results["passport"], summary.results["sanity"]
    if sanity:
        return []
    found = _data_cautions(passport) if passport else []
    return found + _control_cautions(summary) + _probe_cautions(summary.results["cells"])


def out_of_depth(cells: list[dict]) -> list[tuple[dict, dict]]:
    """Return cells whose probe is out of its depth, each with the better cell that shows it.

    That is where another probe names measurably more test adapters from the same features and layers (the
    95 % test-set intervals do not meet) although the probe's own scores hold the class: their area under the
    ROC curve is ``HIGH_AUROC`` or more.

    Args:
        cells: records of the table ``cells``.
    """
    tried = [cell for cell in cells if cell["test_accuracy_adapters_high"] is not None]
    found = []
    for cell in tried:
        others = [other for other in tried if all(other[name] == cell[name] for name in FEATURES)]
        best = max(others, key=lambda other: other["test_accuracy_mean"])
        is_beaten = cell["test_accuracy_adapters_high"] < best["test_accuracy_adapters_low"]
        if is_beaten and cell["test_auroc_mean"] is not None and cell["test_auroc_mean"] >= HIGH_AUROC:
            found.append((cell, best))
    return found


def _probe_cautions(cells: list[dict]) -> list[str]:
    """One sentence a probe: the widest gap, and how many more there are."""
    found = out_of_depth(cells)
    told = []
    for probe in dict.fromkeys(cell["probe"] for cell, _ in found):
        own = [(cell, best) for cell, best in found if cell["probe"] == probe]
        cell, best = max(own, key=lambda pair: pair[1]["test_accuracy_mean"] - pair[0]["test_accuracy_mean"])
        more = f", and in {plural(len(own) - 1, 'cell')} more" if len(own) > 1 else ""
        told.append(
            f"{probe} is out of its depth on {cell['representation']}, {cell['layer_set']} layers{more}: it "
            f"names {percent(cell['test_accuracy_mean'])} where {best['probe']} names "
            f"{percent(best['test_accuracy_mean'])}, though its scores tell the classes apart (AUROC "
            f"{cell['test_auroc_mean']:.2f}). Read the other probe there."
        )
    return told


def _data_cautions(passport: dict) -> list[str]:
    found = []
    regime, health = passport["starts"]["regime"], passport["health"]
    if regime == SHARED:
        found.append(
            "All adapters started from the same A: representations that see the factors as they are do well "
            "here, and need not on adapters from elsewhere."
        )
    if regime == MIXED:
        found.append(
            "Adapters come from several starts: representations that see the factors as they are may tell "
            "the start rather than the class."
        )
    found += [_overlap_caution(overlap) for overlap in passport["overlaps"] if overlap["test_adapters"]]
    copies = passport["duplicates"]["test_adapters"]
    if copies:
        told = plural(copies, "test adapter")
        found.append(
            f"{told} equal to one that was trained on, whatever the factors: the scores are too high."
        )
    if health["dead_adapters"]:
        found.append(
            f"{plural(health['dead_adapters'], 'adapter')} without any update: nothing can tell them."
        )
    return found


def _overlap_caution(overlap: dict) -> str:
    told = f"{plural(overlap['test_adapters'], 'test adapter')} with {overlap['kind']} ({overlap['column']})"
    if overlap["kind"] == "concepts":
        return f"{told} that training has too: set it as `group` to ask about new ones."
    return f"{told} of training adapters: the scores are too high."


def _control_cautions(summary: Summary) -> list[str]:
    """Controls on the reference layers, or on none: a failed one stands for those on fewer layers."""
    reference = summary.results["reference"]
    shown = [row for row in summary.results["controls"] if row["layer_set"] in ("", reference)]
    return [_failure(row) for row in shown if row["status"] == FAILED and row["control"] != "majority"]


def _failure(row: dict) -> str:
    name = NAMES[row["control"]]
    if row["control"] == "permuted":
        return (
            f"Control failed: with permuted labels, {row['representation']} still scores "
            f"{percent(row['accuracy'])}, above chance: something leaks."
        )
    return (
        f"Control failed: {name} scores {percent(row['accuracy'])}; the best cell is not measurably better "
        f"({percent(row['best_accuracy'])} of the same adapters)."
    )


def passport_line(summary: Summary) -> str:
    """The passport in one line."""
    passport = summary.results["passport"]
    if passport is None:
        return ""
    shared = [overlap for overlap in passport["overlaps"] if overlap["in_train_and_test"]]
    parts = [overlap_words(overlap) for overlap in shared] or ["train and test share nothing known"]
    words = [
        f"{passport['starts']['regime']} starts",
        duplicate_words(passport["duplicates"]),
        *parts,
        recipe_words(passport["metadata"]),
    ]
    return f"Passport: {'; '.join(words)}"


def controls_line(summary: Summary) -> str:
    """The controls on the reference layers in one line, and those that failed anywhere."""
    rows, reference = summary.results["controls"], summary.results["reference"]
    if not rows:
        return ""
    single = [row for row in rows if row["control"] in SINGLE and row["layer_set"] in ("", reference)]
    words = [f"{NAMES[row['control']]} {_score(row)}" for row in single]
    permuted = [
        row["accuracy"] for row in rows if row["control"] == "permuted" and row["accuracy"] is not None
    ]
    if permuted:
        words.append(f"permuted labels {percent(sum(permuted) / len(permuted))} on average")
    failed = [row for row in rows if row["status"] == FAILED]
    missing = [row for row in rows if row["status"] == MISSING]
    end = f"{len(failed)} of {len(rows)} failed" if failed else f"none of {len(rows)} failed"
    end = f"not made ({missing[0]['reason']})" if missing else end
    return f"Controls: {', '.join(words)}; {end}" if words else f"Controls: {end}"


def _score(row: dict) -> str:
    return row["status"] if row["accuracy"] is None else percent(row["accuracy"])


def random_row(summary: Summary) -> dict | None:
    """What random layers lose beside the layer set that the study asks about, for its best representation."""
    if summary.best is None or summary.question is None:
        return None
    rows = summary.results["random_layers"]
    wanted = summary.best["representation"], summary.question
    return next((row for row in rows if (row["representation"], row["layer_set"]) == wanted), None)


def random_line(summary: Summary) -> str:
    """The same as a line of the verdict."""
    row = random_row(summary)
    if row is None:
        return ""
    verdict = {
        SAME: "random layers lose as much",
        MORE: "these layers lose more than random ones",
        LESS: "these layers lose less than random ones",
    }.get(row["status"], row["status"])
    return (
        f"Random layers (ridge, {row['representation']}): {row['layer_set']} loses {points(row['drop'])}, "
        f"{row['draws']} random sets of as many layers {points(row['random_drop'])}: {verdict}"
    )


def passport_facts(summary: Summary) -> list[tuple[str, str]]:
    """The passport for the page: what, and what was found."""
    passport = summary.results["passport"]
    return [
        ("start", start_words(passport["starts"])),
        ("duplicates", duplicate_words(passport["duplicates"])),
        *((f"overlap of {each['kind']}", overlap_words(each)) for each in passport["overlaps"]),
        ("rank", ", ".join(map(str, passport["ranks"]))),
        ("sizes", size_words(passport["sizes"], passport["alphas"])),
        ("health", health_words(passport["health"])),
        ("recipe", _recipe(passport["metadata"])),
    ]


def _recipe(metadata: dict) -> str:
    constant = ", ".join(f"{name} {value}" for name, value in metadata["constant"].items())
    outcomes = f"; training wrote down {', '.join(metadata['outcomes'])}" if metadata["outcomes"] else ""
    unused = ", ".join(f"{name} ({why})" for name, why in metadata["unused"].items())
    words = f"{recipe_words(metadata)}{f'; constant: {constant}' if constant else ''}{outcomes}"
    return f"{words}; not read: {unused}" if unused else words


def control_name(row: dict) -> str:
    """Name a control."""
    return NAMES[row["control"]]
