"""What a comparison of gates says, in words. Every word follows from a number of the comparison."""

from lorascope.report.numbers import plural
from lorascope.sparse.compare import DENSE
from lorascope.sparse.measures import TARGET_MARGIN

MARGIN_WORDS = f"within {100 * TARGET_MARGIN:.1f} points"
WINS, LOSES, SAME, UNKNOWN = "wins", "loses", "no measurable difference", "unknown"


def headline(comparison: dict) -> str:
    """Return the answer: which gate is as good as dense soonest."""
    if dense(comparison) is None:
        return "Dense did not finish: there is nothing to hold the gates against."
    quickest = best(comparison)
    if quickest is None:
        return f"No gate comes {MARGIN_WORDS} of dense's final validation accuracy with every seed."
    share, own = (record["reach_share_seconds_mean"] for record in (quickest, dense(comparison)))
    return (
        f"{quickest['gate']} comes {MARGIN_WORDS} of dense's final validation accuracy in {share:.2f} of "
        f"dense's time; dense itself in {own:.2f}."
    )


def dense(comparison: dict) -> dict | None:
    """Return the record of dense, if it finished."""
    return next((record for record in comparison["gates"] if record["gate"] == DENSE), None)


def best(comparison: dict) -> dict | None:
    """Return the gate that reaches dense's accuracy soonest, among those that do with every seed."""
    reaching = [
        record
        for record in comparison["gates"]
        if record["gate"] != DENSE and record["reach_share_seconds_mean"] is not None
    ]
    return min(reaching, key=lambda record: record["reach_share_seconds_mean"], default=None)


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
