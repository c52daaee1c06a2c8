"""A report on a study of which a part failed."""

import time
from collections.abc import Iterator
from pathlib import Path

from lorascope.files import write_bytes
from lorascope.report.page import write_report
from lorascope.report.text import verdict
from lorascope.stats.aggregate import aggregate
from lorascope.study.plan import Plan


def salvage(plan: Plan) -> Iterator[str]:
    """Write the tables and the page of every data set that got as far as labels; yield each verdict."""
    for dataset in plan.config["dataset"]:
        study = plan.aggregation(dataset)
        if Path(study["manifest"]).exists():
            summary, report = plan.folder(dataset, "summary"), plan.folder(dataset, "report")
            aggregate(study, summary)
            picture = next((path for path in plan.picture(dataset) if Path(path).exists()), None)
            page = write_report(summary, report, picture)
            _outdate(plan.stamp(dataset))
            yield verdict(summary, page)


def _outdate(stamp: str) -> None:
    """Make the results just written older than their stamp.

    Snakemake does not miss an intermediate file behind a final one that looks up to date: without this,
    the next run would take the partial page for the whole one and never try the failed cells again. The
    time is written into the stamp because an unchanged content would not count as newer.
    """
    write_bytes(stamp, f"partial results of {time.time_ns()}\n".encode())
