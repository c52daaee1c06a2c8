import pytest

from lorascope.report.control_rows import control_rows
from lorascope.report.summary import load_summary

from .conftest import grave_violations

WINDOWS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def summary(study):
    return load_summary(study / "summary")


@pytest.fixture(scope="module")
def path(study):
    return study / "report" / "index.html"


def numbers(texts):
    return [float(text.replace("−", "-")) for text in texts]


def column(opened, place):
    """Numbers of a column of the table of cells, without the cells that have none."""
    texts = opened.page.locator(f"#every-cell tbody tr:not([data-last]) td:nth-child({place})")
    return numbers(texts.all_inner_texts())


def tick(opened, name, value, ticked):
    opened.page.locator("#filters details").evaluate("details => { details.open = true }")
    opened.page.locator(f"#filters input[name={name}][value={value}]").set_checked(ticked)


def test_charts_are_drawn_mark_by_mark(visit, path, summary):
    opened = visit(path)
    found, best = len(summary.found), summary.three_best
    curves = sum(summary.label_of(cell) in {summary.label(row) for row in best} for cell in summary.found)
    on_all = sum(cell["layer_set"] == "all" for cell in summary.found)
    known = sum(drop["drop"] is not None for drop in summary.results["drops"])
    expected = {
        ("accuracy", "symbol"): found,
        ("accuracy", "rule"): 2 * found + 1,
        ("accuracy", "text"): 2,
        ("drops", "symbol"): known,
        ("drops", "text"): len(summary.results["drops"]) - known,
        ("precision_recall", "symbol"): found,
        ("cost", "symbol"): found,
        ("parts", "rect"): 3 * on_all,
        ("learning", "line"): curves,
        ("learning", "area"): curves,
        ("calibration", "symbol"): sum(
            entry["part"] == "test" for cell in summary.best_row_cells for entry in cell["reliability"]
        ),
        ("classes", "rect"): on_all * len(summary.results["classes"]),
    }
    assert {key: opened.marks(*key).count() for key in expected} == expected
    for name in {name for name, _ in expected}:
        box = opened.page.locator(f"[data-chart={name}] svg").bounding_box()
        assert box["width"] > 250, name
        assert box["height"] > 80, name


def test_marks_lie_where_their_numbers_say(visit, path, summary):
    opened = visit(path)
    places = opened.marks("accuracy", "symbol").evaluate_all(
        "marks => marks.map(mark => [mark.getAttribute('aria-label'), mark.getBoundingClientRect().x])"
    )
    values = [float(label.split("value: ")[1].split(";")[0]) for label, _ in places]
    assert sorted(values) == pytest.approx(
        sorted(100 * cell["test_accuracy_mean"] for cell in summary.found), abs=0.06
    )
    ordered = [x for _, x in sorted(zip(values, (x for _, x in places), strict=True))]
    assert ordered == sorted(ordered)


def test_a_chart_shows_another_score(visit, path):
    opened = visit(path)
    before = opened.marks("accuracy", "symbol").first.get_attribute("aria-label")
    opened.page.locator("[data-chart=accuracy] select").select_option(label="Brier score")
    opened.page.wait_for_function(
        "before => document.querySelector('[data-chart=accuracy] .mark-symbol.role-mark path')"
        ".getAttribute('aria-label') !== before",
        arg=before,
    )
    label = opened.marks("accuracy", "symbol").first.get_attribute("aria-label")
    assert 0 < float(label.split("value: ")[1].split(";")[0]) <= 2


def test_the_passport_comes_before_the_scores(visit, path):
    opened = visit(path)
    sections = opened.page.locator("main > section > h2").all_inner_texts()
    assert (
        sections.index("Passport of the data set") < sections.index("Accuracy") < sections.index("Controls")
    )
    words = opened.page.locator("section[aria-labelledby=passport]").inner_text()
    assert "every adapter has a random A of its own" in words


def test_controls_stand_beside_the_best_cell(visit, path, summary):
    opened = visit(path)
    rows = control_rows(summary)
    assert opened.marks("controls", "symbol").count() == len(rows)
    assert opened.marks("controls", "rule").count() == len(rows) + 1
    verdicts = opened.page.locator("section[aria-labelledby=controls] table").first.locator("tbody tr")
    assert verdicts.count() == sum(row["control"] != "permuted" for row in summary.results["controls"])
    tick(opened, "layer_set", "visual", ticked=False)
    opened.page.get_by_text("4 of 8 cells shown").wait_for()
    left = [row for row in rows if row["of"] != "visual"]
    assert opened.marks("controls", "symbol").count() == len(left)
    badges = opened.page.locator("#invariance ~ * table").first.locator("tbody tr")
    assert badges.count() == len(summary.results["invariance"])


def test_filters_leave_what_is_ticked(visit, path, summary):
    opened = visit(path)
    on_all = [cell for cell in summary.found if cell["layer_set"] == "all"]
    tick(opened, "layer_set", "visual", ticked=False)
    opened.page.get_by_text("4 of 8 cells shown").wait_for()
    assert opened.marks("accuracy", "symbol").count() == len(on_all)
    assert not opened.page.locator("[data-chart=drops] svg").is_visible()
    assert len(opened.visible_rows("#every-cell")) == 4
    assert not opened.page.locator("th[data-layer_set=visual]").first.is_visible()
    tick(opened, "representation", "spectral", ticked=False)
    opened.page.get_by_text("3 of 8 cells shown").wait_for()
    assert opened.marks("accuracy", "symbol").count() == len(on_all) - 1
    assert not any("spectral" in row for row in opened.visible_rows("#every-cell"))
    opened.page.get_by_role("button", name="Show all").click()
    opened.page.get_by_text("8 of 8 cells shown").wait_for()
    assert opened.marks("accuracy", "symbol").count() == len(summary.found)


def test_with_everything_filtered_away_nothing_breaks(visit, path):
    opened = visit(path)
    for layer_set in ("all", "visual"):
        tick(opened, "layer_set", layer_set, ticked=False)
    opened.page.get_by_text("0 of 8 cells shown").wait_for()
    assert not opened.page.locator("[data-chart=accuracy] svg").is_visible()
    # A cell that failed is all that is left: its words are the chart.
    for representation in ("spectral", "frequency", "distribution"):
        tick(opened, "representation", representation, ticked=False)
    tick(opened, "layer_set", "all", ticked=True)
    opened.page.get_by_text("1 of 8 cells shown").wait_for()
    assert opened.marks("accuracy", "text").all_text_contents() == ["✕ all: failed"]


def test_tables_are_sorted_by_their_headers(visit, path):
    opened = visit(path)
    header = opened.page.locator("#every-cell thead th", has_text="AUROC")
    place = header.evaluate("header => [...header.parentNode.children].indexOf(header) + 1")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert column(opened, place) == sorted(column(opened, place), reverse=True)
    # The keyboard sorts too.
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(opened, place) == sorted(column(opened, place))
    last = opened.visible_rows("#every-cell")[-2:]
    assert all("failed" in row or "missing" in row for row in last)
    assert opened.page.locator("#every-cell th[aria-sort]").count() == 1


def test_words_are_sorted_as_words(visit, path):
    opened = visit(path)
    opened.page.locator("#every-cell thead th button", has_text="representation").click()
    rows = opened.page.locator("#every-cell tbody tr:not([data-last]) th").all_inner_texts()
    assert rows == sorted(rows)


def test_charts_follow_the_theme(visit, path):
    opened = visit(path)
    colour = "[data-chart=accuracy] .mark-symbol.role-mark path"
    light = opened.page.locator(colour).first.get_attribute("fill")
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_function(
        "([place, light]) => document.querySelector(place)?.getAttribute('fill') !== light",
        arg=[colour, light],
    )
    assert opened.page.locator(colour).first.get_attribute("fill") in ("#56b4e9", "#f08a3c")


def test_without_scripts_the_figures_stand_in_for_the_charts(visit, path):
    opened = visit(path, scripts=False)
    for name in ("accuracy", "drops", "learning", "calibration"):
        box = opened.page.locator(f"[data-chart={name}] > svg").bounding_box()
        assert box["width"] > 250, name
        assert box["height"] > 100, name
    assert not opened.page.locator("#filters").is_visible()
    assert len(opened.visible_rows("#every-cell")) == 8


def test_the_first_screen_answers_and_names_what_failed(visit, path):
    opened = visit(path)
    for words in ("stats × all", "frequency × visual", "6 of 8"):
        place = opened.page.locator("header").get_by_text(words).first
        box = place.bounding_box()
        assert 0 <= box["y"] <= 900 - box["height"], words


def test_the_keyboard_reaches_everything(visit, path):
    opened = visit(path)
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the results"
    reached = set()
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("document.activeElement.tagName"))
    assert {"A", "SUMMARY", "SELECT", "BUTTON"} <= reached


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_every_window_is_accessible_and_photographed(visit, path, width, scheme):
    opened = visit(path, width=width, scheme=scheme)
    opened.photograph(f"page-{width}-{scheme}")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert grave_violations(opened.page) == []
