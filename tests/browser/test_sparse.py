import pytest

from lorascope.sparse.compare import write_comparison
from lorascope.sparse.report import write_page
from sparse_runs import GATES, write_study

from .conftest import grave_violations


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    home = tmp_path_factory.mktemp("gates")
    write_comparison([*write_study(home / "runs"), home / "runs" / "gone"], home / "comparison", {})
    return write_page(home / "comparison", home / "report")


def test_charts_show_every_gate_and_answer(visit, path):
    opened = visit(path)
    assert opened.marks("curves", "line").count() == len(GATES)
    assert opened.marks("trade", "symbol").count() == len(GATES)
    opened.page.locator("[data-chart=curves] select").last.select_option(label="training time (s)")
    opened.page.locator("[data-chart=curves] select").first.select_option(label="activation rate (%)")
    assert opened.marks("curves", "line").count() == len(GATES)
    opened.page.locator("#filters details").evaluate("details => { details.open = true }")
    opened.page.locator("#filters input[value=loss_topk]").uncheck()
    opened.page.get_by_text("4 of 5 cells shown").wait_for()
    assert opened.marks("trade", "symbol").count() == len(GATES) - 1
    assert not opened.page.locator("tr[data-gate=loss_topk]").first.is_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_on_gates_is_accessible(visit, path, width, scheme):
    opened = visit(path, width=width, scheme=scheme)
    opened.photograph(f"sparse-{width}-{scheme}")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert grave_violations(opened.page) == []
