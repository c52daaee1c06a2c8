"""The web page of a study: one file that needs no network, its first screen the answer."""

import json
from pathlib import Path

import jinja2

from lorascope.files import write_bytes
from lorascope.report import numbers, text
from lorascope.report.figures import drawings, save_figures
from lorascope.report.inline import data_address, themed_svg
from lorascope.report.summary import Summary, load_summary
from lorascope.stats.cells import DONE

PAGE_FILE = "index.html"
FIGURES_FOLDER = "figures"
PICTURE_ALT = "Samples drawn by the base network and by some of the adapters"


def write_report(
    summary_dir: str | Path,
    out_dir: str | Path,
    picture: str | Path | None = None,
    title: str | None = None,
) -> Path:
    """Write the figures (SVG, PDF, PNG) and the page of a study.

    Args:
        summary_dir: what ``lorascope.stats.aggregate.aggregate`` wrote.
        out_dir: gets index.html and figures/.
        picture: a picture of the adapters (PNG, JPEG or SVG) to show on the page.
        title: the page's title; by default the name of the data set.

    Returns:
        The path of the page.

    Raises:
        LorascopeError: the summary or the picture cannot be read.
    """
    summary = load_summary(summary_dir)
    out_dir = Path(out_dir)
    # First what can be refused, then the slow drawing.
    picture = data_address(picture) if picture else None
    figures = save_figures(summary, out_dir / FIGURES_FOLDER)
    page = render_page(summary, figures, picture, title)
    write_bytes(out_dir / PAGE_FILE, page.encode())
    return out_dir / PAGE_FILE


def render_page(summary: Summary, figures: dict[str, str], picture: str | None, title: str | None) -> str:
    """Fill the page's template.

    Args:
        figures: name → text of the SVG file.
        picture: data: address of a picture.
    """
    charts = {
        drawing.name: {
            "title": drawing.title,
            "caption": drawing.caption,
            "svg": themed_svg(figures[drawing.name], drawing.name, f"{drawing.title}. {drawing.caption}"),
        }
        for drawing in drawings(summary)
    }
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title or f"{summary.results['dataset']} · lorascope",
            summary=summary,
            results=summary.results,
            charts=charts,
            picture=picture,
            picture_alt=PICTURE_ALT,
            answer=text.answer(summary),
            sanity_warning=text.SANITY_WARNING,
            drop_words=_drop_words(summary),
            done=sum(cell["status"] == DONE for cell in summary.cells),
            seconds=sum(run["seconds"] for run in summary.results["runs"]),
            source=_source_words(summary.results["manifest"]["source"]),
            settings=json.dumps(summary.results["settings"], indent=2, ensure_ascii=False),
        )
    )


def _drop_words(summary: Summary) -> str:
    drop = summary.headline_drop
    if drop is None or drop["drop"] is None:
        return "unknown"
    words = {"drop": "measurable: the interval excludes 0", "gain": "a gain: the interval lies below 0"}
    return words.get(text.drop_kind(drop), "not measurable: the interval holds 0")


def _source_words(source: str | dict) -> str:
    if isinstance(source, str):
        return source
    return ", ".join(f"{name} {value}" for name, value in source.items())


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lorascope.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("percent", "points", "interval", "p_value", "seconds", "plural"):
        environment.filters[name] = getattr(numbers, name)
    return environment
