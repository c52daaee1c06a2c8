"""The table of a comparison for a Markdown file."""

from lorascope.report.numbers import interval, percent, share
from lorascope.sparse.compare import DENSE
from lorascope.sparse.verdict import headline, reached, seeds_line

HEADS = ("gate", "active %", "validation %", "test %", "− dense, equal epochs", "− dense, equal time")
HEADS += (
    "− uniform, equal epochs",
    "share of dense's time to its accuracy",
    "energy saved",
    "FLOPs saved",
    "s",
)


def markdown(comparison: dict, words_of_machine: str) -> str:
    """Return the comparison as Markdown: the answer, date and machine, one row a gate, what is missing."""
    facts = comparison["facts"]
    date = comparison["finished"]
    lines = [
        headline(comparison),
        "",
        f"{seeds_line(comparison)}; {facts['training_samples']:,} training images, "
        f"{facts['settings']['epochs']} epochs; {date}, {words_of_machine}; {facts['device']}. "
        "[95 % intervals over seeds]; differences in points of validation accuracy, paired by seed.",
        "",
        f"| {' | '.join(HEADS)} |",
        f"| --- |{' ---: |' * (len(HEADS) - 1)}",
        *(_row(record) for record in comparison["gates"]),
    ]
    problems = [
        f"- not finished: `{problem['run']}`: {problem['reason']}" for problem in comparison["problems"]
    ]
    return "\n".join([*lines, *([""] if problems else []), *problems])


def _row(record: dict) -> str:
    versus = ("epochs_vs_dense", "time_vs_dense", "epochs_vs_uniform")
    cells = [
        f"`{record['gate']}`",
        share(record["activation_rate_mean"]),
        *(_estimate(record, name) for name in ("validation_accuracy", "test_accuracy")),
        *("–" if record["gate"] == DENSE else _estimate(record, name) for name in versus),
        reached(record),
        percent(record["energy_saved_mean"]),
        percent(record["flops_saved_mean"]),
        f"{record['seconds_mean']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _estimate(record: dict, name: str) -> str:
    mean, low, high = (record[f"{name}_{end}"] for end in ("mean", "low", "high"))
    return share(mean) if low is None else f"{share(mean)} {interval(low, high)}"
