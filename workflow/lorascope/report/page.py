"""The web page of a study: one file that needs no network, its first screen the answer."""

import json
from pathlib import Path

import jinja2

from lorascope.files import write_bytes
from lorascope.report import cautions, chart_data, charts, numbers, text
from lorascope.report.figures import Drawing, drawings, save_figures
from lorascope.report.inline import data_address, script_json, svg_address, themed_svg
from lorascope.report.latex import save_tables, tables
from lorascope.report.summary import Summary, load_summary
from lorascope.stats.cells import DONE
from lorascope.wording import plural

PAGE_FILE = "index.html"
TEXT_FILE = "summary.txt"
FIGURES_FOLDER = "figures"
TABLES_FOLDER = "tables"
PICTURE_ALT = "Samples drawn by the base network and by some of the adapters"
WRITTEN = ("share", "decimal", "percent", "points", "interval", "drift", "p_value", "seconds")


def write_report(
    summary_dir: str | Path,
    out_dir: str | Path,
    picture: str | Path | None = None,
    title: str | None = None,
    processes: int = 1,
) -> Path:
    """Write the figures (SVG, PDF, PNG), LaTeX tables, text summary and page of a study.

    Args:
        summary_dir: what ``lorascope.stats.aggregate.aggregate`` wrote.
        out_dir: gets index.html, summary.txt, figures/ and tables/.
        picture: a picture of the adapters (PNG, JPEG or SVG) to show on the page.
        title: the page's title; by default the names of study and data set.
        processes: how many draw figures at the same time.

    Returns:
        The path of the page.

    Raises:
        LorascopeError: the summary or the picture cannot be read.
    """
    summary = load_summary(summary_dir)
    out_dir = Path(out_dir)
    # First what can be refused, then the slow drawing.
    picture = data_address(picture) if picture else None
    figures = save_figures(summary, out_dir / FIGURES_FOLDER, processes)
    save_tables(summary, out_dir / TABLES_FOLDER)
    write_bytes(out_dir / TEXT_FILE, text.text_summary(summary).encode())
    page = render_page(summary, figures, picture, title)
    write_bytes(out_dir / PAGE_FILE, page.encode())
    return out_dir / PAGE_FILE


def render_page(summary: Summary, figures: dict[str, str], picture: str | None, title: str | None) -> str:
    """Fill the page's template.

    Args:
        figures: name → text of the SVG file.
        picture: data: address of a picture.
    """
    results, interactive = summary.results, charts.charts(summary)
    return render(
        "page.html",
        interactive,
        chart_data.chart_data(summary),
        title=title or f"{summary.name} · lorascope",
        summary=summary,
        results=results,
        charts=_figures(summary, figures, interactive),
        picture=picture,
        picture_alt=PICTURE_ALT,
        answer=text.answer(summary),
        passport_facts=cautions.passport_facts(summary) if results["passport"] else [],
        where=text.where(summary),
        unet=svg_address(figures["layers"]) if "layers" in figures else None,
        warnings=text.warnings(summary) + text.problems_beside(summary),
        ranking=text.ranking(summary),
        drop_words=_drop_words(summary),
        done=sum(cell["status"] == DONE for cell in summary.cells),
        seconds=sum(run["seconds"] for run in results["runs"]),
        definitions=[(name.replace("_", " "), words) for name, words in results["methods"].items()],
        provenance=_provenance(results),
        latex=list(tables(summary)),
        settings=json.dumps(results["settings"], indent=2, ensure_ascii=False),
    )


def render(template: str, specifications: dict[str, dict], tables: dict[str, dict], **words) -> str:
    """Fill a template that extends base.html, which carries the charts and what draws them."""
    return (
        _environment()
        .get_template(template)
        .render(
            specifications=specifications,
            chart_data=tables,
            library=charts.scripts() if specifications else "",
            **words,
        )
    )


def _figures(summary: Summary, figures: dict[str, str], interactive: dict[str, dict]) -> dict[str, dict]:
    return {
        drawing.name: {
            "title": drawing.title,
            "caption": drawing.caption,
            "interactive": drawing.name in interactive,
            "svg": _inlined(drawing, figures[drawing.name]),
        }
        for drawing in drawings(summary)
    }


def _inlined(drawing: Drawing, svg: str) -> str:
    """What stands in a chart's place until it is drawn; for a heat map the page has a table."""
    return themed_svg(svg, drawing.name, f"{drawing.title}. {drawing.caption}") if drawing.themed else ""


def _provenance(results: dict) -> list[tuple[str, str]]:
    manifest, duplicates = results["manifest"], results["duplicates"]
    split = ", ".join(f"{part} {count}" for part, count in manifest["split"].items())
    equal = f"{plural(duplicates['sets'], 'set')} of adapters with equal weights"
    across = f"{duplicates['adapters']} adapters, {plural(duplicates['across_parts'], 'set')} across parts"
    return [
        ("data set", results["dataset"]),
        ("source", _source_words(manifest["source"])),
        ("digest of the data", manifest["digest"]),
        ("matrices", str(manifest["matrices"])),
        ("numbers in an adapter", f"{manifest['parameters']:,}"),
        ("split", f"{split} (the same adapters)" if results["sanity"] else split),
        ("duplicates", f"{equal}: {across}" if duplicates["sets"] else "none: no two adapters are equal"),
        ("time in training", numbers.seconds(sum(run["seconds"] for run in results["runs"]))),
        ("versions", ", ".join(f"{name} {version}" for name, version in results["versions"].items())),
    ]


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
    environment.filters |= {name: getattr(numbers, name) for name in WRITTEN}
    environment.filters |= {"plural": plural, "script_json": script_json, "layer_name": text.layer_name}
    environment.filters["control_name"] = cautions.control_name
    return environment
