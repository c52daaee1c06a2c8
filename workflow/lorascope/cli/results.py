"""Sub-commands that turn results into tables and pages."""

import argparse

from lorascope.cli.options import STUDY, add_results, command, json_map, step
from lorascope.errors import DamagedFileError, LorascopeError


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    aggregate = step(commands, "aggregate", _aggregate, "gather all cells into the summary tables")
    aggregate.add_argument("--config", type=json_map, required=True, help="the study's settings as JSON")
    aggregate.add_argument("--dataset", required=True, help="name of the data set")
    aggregate.add_argument("--out", required=True, help="folder to write into")
    report = step(commands, "report", _report, "write the page and the figures")
    report.add_argument("--summary", required=True, help="folder that `aggregate` wrote")
    report.add_argument("--picture", help="picture of the zoo's samples")
    report.add_argument("--out", required=True, help="folder to write into")
    scaling = step(commands, "scaling", _scaling, "put learning curves of several data sets side by side")
    scaling.add_argument("--config", type=json_map, required=True, help="the study's settings as JSON")
    scaling.add_argument("--out", required=True, help="folder to write into")
    sizes = command(
        commands, "scaling-table", _scaling_table, "write the points of learning curves into a Markdown file"
    )
    sizes.add_argument("--table", required=True, help="the sizes.parquet that scaling wrote")
    sizes.add_argument("--document", required=True, help="file with the two lines that mark the place")
    compare = command(commands, "compare", _compare, "put two studies side by side: settings and results")
    add_results(compare)
    compare.add_argument("first", metavar="A", help=STUDY)
    compare.add_argument("second", metavar="B", help=STUDY)
    compare.add_argument("--out", help="folder to write a page into (default: text only)")
    board = command(commands, "leaderboard", _leaderboard, "write the method tables of some studies")
    board.add_argument("studies", nargs="+", metavar="STUDY", help=STUDY)
    add_results(board)
    board.add_argument("--out", required=True, help="the page, in Markdown")
    salvage = command(commands, "salvage", _salvage, "report on a study of which a part failed")
    salvage.add_argument("--config", type=json_map, required=True, help="the study's settings as JSON")
    salvage.add_argument("--key", default="", help="key of the studies when they were planned")


def _aggregate(options: argparse.Namespace) -> None:
    from lorascope.stats.aggregate import aggregate
    from lorascope.study.config import load_config
    from lorascope.study.plan import Plan

    plan = Plan(load_config(options.config))
    if options.key and options.key != plan.study_key(options.dataset):
        raise LorascopeError(
            f"{options.dataset}: data or code changed while the study ran; run snakemake again to finish it"
        )
    aggregate(plan.aggregation(options.dataset), options.out)


def _report(options: argparse.Namespace) -> None:
    from lorascope.report.page import write_report
    from lorascope.report.text import verdict

    page = write_report(options.summary, options.out, options.picture, processes=options.threads)
    print(verdict(options.summary, page))


def _compare(options: argparse.Namespace) -> None:
    from lorascope.report.compare import compare, comparison_text, write_comparison
    from lorascope.study.named import find_summary

    names = options.first, options.second
    folders = [find_summary(name, options.results) for name in names]
    comparison = compare(*folders, names)
    print(comparison_text(comparison), end="")
    if options.out:
        print(f"Page: {write_comparison(comparison, options.out)}")


def _scaling(options: argparse.Namespace) -> None:
    from lorascope.report.scaling import write_scaling
    from lorascope.study.config import load_config
    from lorascope.study.plan import Plan

    plan = Plan(load_config(options.config))
    studies = [plan.aggregation(dataset) for dataset in plan.config["dataset"]]
    for line in write_scaling(studies, options.out):
        print(line)


def _scaling_table(options: argparse.Namespace) -> None:
    from lorascope.files import read_table
    from lorascope.report.document import fill
    from lorascope.report.scaling import markdown

    fill(options.document, "scaling-table", markdown(read_table(options.table).to_pylist()))


def _leaderboard(options: argparse.Namespace) -> None:
    from lorascope.report.leaderboard import write_leaderboard
    from lorascope.study.named import find_summary

    summaries = [find_summary(name, options.results) for name in options.studies]
    print(f"Page: {write_leaderboard(summaries, options.out)}")


def _salvage(options: argparse.Namespace) -> None:
    from lorascope.leftovers import mark_damaged
    from lorascope.study.config import load_config
    from lorascope.study.plan import Plan
    from lorascope.study.salvage import salvage

    plan = Plan(load_config(options.config))
    _set_aside(plan.config["results"])
    if options.key and options.key != plan.key():
        raise LorascopeError("data or code changed while the study ran; run snakemake again to finish it")
    try:
        for verdict in salvage(plan):
            print(verdict)
    except DamagedFileError as error:
        # Found only now. Nothing else runs any more that could need it.
        mark_damaged(error.unit)
        _set_aside(plan.config["results"])
        raise


def _set_aside(results: str) -> None:
    from lorascope.leftovers import set_aside_marked

    for path in set_aside_marked(results):
        print(f"Damaged, made again by the next run: {path}", flush=True)
