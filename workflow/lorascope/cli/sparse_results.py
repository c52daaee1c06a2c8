"""Sub-commands around adaptive sparse training: its images, the comparison of gates, page and table."""

import argparse

from lorascope.cli.options import add_download, command, json_map, origin_of, step


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    images = step(commands, "sparse-images", _images, "prepare images for sparse training")
    images.add_argument(
        "--settings", type=json_map, default={}, help='JSON such as {"source": "fashion"} (default: digits)'
    )
    add_download(images)
    images.add_argument("--out", required=True, help="folder to write into")
    compare = step(commands, "sparse-compare", _compare, "hold gates against dense and uniform training")
    compare.add_argument("--runs", nargs="+", required=True, help="folders that sparse-train wrote")
    compare.add_argument("--out", required=True, help="folder to write into")
    report = step(commands, "sparse-report", _report, "write the page and the pictures of a comparison")
    report.add_argument("--comparison", required=True, help="folder that sparse-compare wrote")
    report.add_argument("--out", required=True, help="folder to write into")
    table = command(commands, "sparse-table", _table, "write the table of a comparison into a Markdown file")
    table.add_argument("--comparison", required=True, help="folder that sparse-compare wrote")
    table.add_argument("--document", required=True, help="file with the two lines that mark the place")
    table.add_argument("--machine", help="the machine in words (default: this one)")


def _images(options: argparse.Namespace) -> None:
    from lorascope.sparse.prepare import prepare_images
    from lorascope.study import steps
    from lorascope.study.config import load_section

    settings = load_section("sparse", {"images": options.settings})["images"]
    origin = origin_of(options, settings, *steps.SPARSE_IMAGES)
    prepare_images(settings, options.out, origin, options.download)


def _compare(options: argparse.Namespace) -> None:
    from lorascope.sparse.compare import write_comparison
    from lorascope.study import steps

    write_comparison(options.runs, options.out, origin_of(options, {}, *steps.SPARSE_RESULTS))


def _report(options: argparse.Namespace) -> None:
    from lorascope.sparse.report import read_comparison, write_page
    from lorascope.sparse.verdict import headline

    page = write_page(options.comparison, options.out)
    print(f"{headline(read_comparison(options.comparison))}\nPage: {page}")


def _table(options: argparse.Namespace) -> None:
    from lorascope.computing import machine
    from lorascope.report.document import fill
    from lorascope.sparse.document import markdown
    from lorascope.sparse.report import read_comparison

    table = markdown(read_comparison(options.comparison), options.machine or machine())
    fill(options.document, "sparse-table", table)
