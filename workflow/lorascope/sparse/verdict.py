"""What a comparison of gates says, in words. Every word follows from a number of the comparison."""

from lorascope.sparse.compare import DENSE
from lorascope.sparse.measures import TARGET_MARGIN
from lorascope.wording import plural

MARGIN_WORDS = f"within {100 * TARGET_MARGIN:.1f} points"
WINS, LOSES, SAME, UNKNOWN = "wins", "loses", "no measurable difference", "unknown"


def headline(comparison: dict) -> str:
    """Return the answer: which gate is as good as dense soonest."""
    if dense(comparison) is None:
        return "Dense did not finish: there is nothing to hold the gates against."
    quickest = best(comparison)
    if quickest is None:
        return f"No gate comes {MARGIN_WORDS} of dense's final validation accuracy with every seed."
    return (
        f"{quickest['gate']} comes {MARGIN_WORDS} of dense's final validation accuracy in "
        f"{reach_words(quickest)} of dense's time; dense itself in {reached(dense(comparison))}."
    )


def reach_words(quickest: dict) -> str:
    """Return the best gate's share of dense's time with its interval, or why there is none."""
    low, high = (quickest[f"reach_share_seconds_{end}"] for end in ("low", "high"))
    share = f"{quickest['reach_share_seconds_mean']:.2f}"
    if low is None:
        return f"{share} (one seed: no interval)"
    return f"{share} [{low:.2f}, {high:.2f}] ({choice_words(quickest)})"


def choice_words(quickest: dict) -> str:
    """Return what the intervals of the best gate allow for."""
    if quickest["chosen_among"] == 1:
        return "95 %"
    return f"95 %, for the best of {quickest['chosen_among']} gates"


def dense(comparison: dict) -> dict | None:
    """Return the record of dense, if it finished."""
    return next((record for record in comparison["gates"] if record["gate"] == DENSE), None)


def best(comparison: dict) -> dict | None:
    """Return what :func:`lorascope.sparse.compare.best_gate` found."""
    return comparison["best"]


def kind(record: dict, difference: str) -> str:
    """Return whether a gate wins or loses: its 95 % interval lies on one side of 0."""
    low, high = record[f"{difference}_low"], record[f"{difference}_high"]
    if low is None:
        return UNKNOWN
    return WINS if low > 0 else LOSES if high < 0 else SAME


def reached(record: dict) -> str:
    """Return when dense's accuracy was reached: share of dense's time, or how many seeds did."""
    if record["reach_share_seconds_mean"] is not None:
        return f"{record['reach_share_seconds_mean']:.2f}"
    return f"{record['reach_share_seconds_count']} of {record['runs']}"


def seeds_line(comparison: dict) -> str:
    """Return how much was compared."""
    return f"{plural(len(comparison['gates']), 'gate')}, {plural(len(comparison['seeds']), 'seed')}"
