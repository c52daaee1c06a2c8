import pytest

from lorascope.report.compare import compare, write_comparison
from lorascope.stats.aggregate import aggregate
from synthetic_study import default_accuracies, make_study

from .conftest import grave_violations


@pytest.fixture(scope="module")
def path(study, tmp_path_factory):
    home = tmp_path_factory.mktemp("other")
    accuracies = default_accuracies(("stats", "spectral"))
    aggregate(make_study(home / "in", accuracies, seeds=1, adapters=200), home / "summary")
    return write_comparison(compare(study / "summary", home / "summary"), home / "comparison")


def test_both_studies_are_drawn_and_filtered(visit, path):
    opened = visit(path)
    # The first study has 6 finished cells of 8, the second 4 of 4, all of them also in the first.
    assert opened.marks("compare", "symbol").count() == 10
    assert opened.page.get_by_text("8 of 8 cells shown").count() == 1
    opened.page.locator("#filters details").evaluate("details => { details.open = true }")
    opened.page.locator("#filters input[value=spectral]").uncheck()
    opened.page.get_by_text("6 of 8 cells shown").wait_for()
    assert opened.marks("compare", "symbol").count() == 6


@pytest.mark.parametrize("width", [1280, 390])
def test_the_comparison_is_accessible(visit, path, width):
    opened = visit(path, width=width)
    opened.photograph(f"compare-{width}")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert grave_violations(opened.page) == []
