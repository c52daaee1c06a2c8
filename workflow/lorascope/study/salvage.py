"""A report on a study of which a part failed."""

from collections.abc import Iterator
from pathlib import Path

from lorascope.report.page import write_report
from lorascope.report.text import verdict
from lorascope.stats.aggregate import aggregate
from lorascope.study.plan import Plan


def salvage(plan: Plan) -> Iterator[str]:
    """Write the tables and the page of every data set that got as far as labels; yield each verdict."""
    for dataset in plan.config["dataset"]:
        study = plan.aggregation(dataset)
        if Path(study["manifest"]).exists():
            summary, report = plan.named(dataset, "summary"), plan.named(dataset, "report")
            aggregate(study, summary)
            picture = next((path for path in plan.picture(dataset) if Path(path).exists()), None)
            page = write_report(summary, report, picture)
            # A partial page is no study's: without its stamp the next run makes tables and page again.
            Path(plan.stamp(dataset)).unlink(missing_ok=True)
            yield verdict(summary, page)
