from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest

from lorascope.report.figures import DRAWINGS

FOLDER = Path(__file__).parents[1] / "workflow" / "report"


def caption(file, **wildcards):
    """Fill a caption as `snakemake --report` does."""
    template = jinja2.Template((FOLDER / file).read_text(), undefined=jinja2.StrictUndefined)
    output = ["results/studies/default/zoo/report/index.html"]
    return template.render(snakemake=SimpleNamespace(wildcards=SimpleNamespace(**wildcards), output=output))


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.name)
def test_every_figure_has_its_own_caption(drawing):
    text = caption("figure.rst", name=drawing.name, dataset="zoo")
    assert text.strip().startswith(f"{drawing.title}. {drawing.caption}")
    assert "``zoo``" in text


def test_page_and_workflow_are_described():
    assert "``zoo``" in caption("page.rst", dataset="zoo")
    assert "docs/metrics.md" in caption("workflow.rst")
