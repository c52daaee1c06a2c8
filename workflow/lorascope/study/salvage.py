"""A report on a study of which a part failed."""

from collections.abc import Iterator
from pathlib import Path

from lorascope.report.page import PAGE_FILE, write_report
from lorascope.report.text import verdict
from lorascope.stats.aggregate import aggregate
from lorascope.study.plan import Plan


def salvage(plan: Plan) -> Iterator[str]:
    """Write tables and page of every data set that got as far as labels; yield each verdict."""
    for dataset in plan.config["dataset"]:
        study = plan.aggregation(dataset)
        if Path(study["manifest"]).exists():
            summary, report = plan.named(dataset, "summary"), plan.named(dataset, "report")
            if _is_made(plan, dataset, Path(report, PAGE_FILE)):
                yield verdict(summary, Path(report, PAGE_FILE))
                continue
            aggregate(study, summary)
            picture = next((path for path in plan.picture(dataset) if Path(path).exists()), None)
            page = write_report(summary, report, picture)
            # A partial page is no study's: without its stamp the next run makes tables and page again.
            Path(plan.stamp(dataset)).unlink(missing_ok=True)
            yield verdict(summary, page)


def _is_made(plan: Plan, dataset: str, page: Path) -> bool:
    """Tell whether the page is that of the study: what failed had no part in it."""
    stamp = Path(plan.stamp(dataset))
    behind = [*plan.cell_files(dataset), *plan.analysis_files(dataset), *plan.controls(dataset), stamp, page]
    return all(map(Path.exists, map(Path, behind))) and page.stat().st_mtime_ns >= stamp.stat().st_mtime_ns
