"""The page of the study of gates: one file that needs no network, and its two pictures."""

import json
from pathlib import Path

import matplotlib as mpl

from lorascope.errors import LorascopeError
from lorascope.files import read_json, write_bytes
from lorascope.report.figures.base import save_figure
from lorascope.report.inline import themed_svg
from lorascope.report.page import FIGURES_FOLDER, PAGE_FILE, render
from lorascope.report.style import RC
from lorascope.sparse import verdict
from lorascope.sparse.charts import chart_data, charts
from lorascope.sparse.compare import COMPARISON_FILE
from lorascope.sparse.dashboard import draw_dashboard
from lorascope.sparse.diagram import draw_diagram

PICTURES = {
    "dashboard": (
        "How every gate trained",
        "Mean and standard deviation over seeds. Loss is of the samples that were trained on, so gates that "
        "choose hard ones show more of it. Time is that of training and scoring, without evaluation.",
        draw_dashboard,
    ),
    "architecture": (
        "What happens to a batch",
        "Drawn from the settings of these runs; rates and numbers of active samples are measured. "
        "infobatch chooses once an epoch among all training samples instead of batch by batch.",
        draw_diagram,
    ),
}


def read_comparison(folder: str | Path) -> dict:
    """Read what ``lorascope sparse-compare`` wrote.

    Raises:
        LorascopeError: it is missing or of another version.
    """
    path = Path(folder) / COMPARISON_FILE
    comparison = read_json(path)
    if not {"gates", "best", "curves", "facts", "problems"} <= set(comparison):
        raise LorascopeError(f"{path}: not a comparison of gates; run lorascope sparse-compare again")
    return comparison


def write_page(folder: str | Path, out: str | Path) -> Path:
    """Write index.html and figures/; return the path of the page.

    Args:
        folder: what ``lorascope sparse-compare`` wrote.
        out: folder to write into.

    Raises:
        LorascopeError: there is no comparison.
    """
    comparison, out = read_comparison(folder), Path(out)
    pictures = {}
    for name, (title, caption, draw) in PICTURES.items():
        with mpl.rc_context(RC):
            svg = save_figure(draw(comparison), out / FIGURES_FOLDER, name)
        inlined = themed_svg(svg, name, f"{title}. {caption}")
        pictures[name] = {"title": title, "caption": caption, "svg": inlined}
    page = render(
        "sparse.html",
        charts(comparison),
        chart_data(comparison),
        title=f"Gates on {_images_name(comparison)} · lorascope",
        images=_images_name(comparison),
        comparison=comparison,
        facts=_facts(comparison),
        pictures=pictures,
        settings=json.dumps(comparison["facts"]["settings"], indent=2),
        verdict=verdict,
        answer=verdict.headline(comparison),
        dense=verdict.dense(comparison),
        best=verdict.best(comparison),
    )
    write_bytes(out / PAGE_FILE, page.encode())
    return out / PAGE_FILE


def _images_name(comparison: dict) -> str:
    side, _, channels = comparison["facts"]["image_shape"]
    return f"{comparison['facts']['training_samples']:,} images of {side} × {side} × {channels}"


def _facts(comparison: dict) -> list[tuple[str, str]]:
    facts = comparison["facts"]
    cost = facts["flops_per_sample"]
    versions = comparison["versions"]
    return [
        ("images", f"{facts['images']}: {_images_name(comparison)}, {facts['classes']} classes"),
        ("parameters", f"{facts['parameters']:,}"),
        ("FLOPs of a sample", f"{cost['forward']:,} forward, {cost['backward']:,} backward"),
        ("device", f"{facts['device']}, {facts['precision']}, threads of a run: {facts['threads']}"),
        ("seeds", ", ".join(map(str, comparison["seeds"]))),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or "unknown"),
    ]
