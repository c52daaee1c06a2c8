import base64
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from PIL import Image

from lorascope.errors import LorascopeError
from lorascope.files import read_json, write_bytes
from lorascope.report.figures import DRAWINGS, FORMATS, drawings, save_figures
from lorascope.report.figures.base import save_drawings
from lorascope.report.figures.drops import DROPS
from lorascope.report.figures.scores import COST, PRECISION_RECALL
from lorascope.report.page import render_page, write_report
from lorascope.report.style import INK, RC, SERIES
from lorascope.report.summary import Summary, load_summary
from lorascope.stats.aggregate import aggregate
from synthetic_study import default_accuracies, make_study

FAILED = {("all", "stats"): "LorascopeError: <b>NaN</b> in 3 rows\n", ("visual", "frequency"): ""}
TABLES = {"accuracy", "scores", "drops", "comparisons"}
VOID = {"meta", "link", "img", "br", "input"}
EMPTY = '<svg viewBox="0 0 1 1" width="1"></svg>'
HEADS = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}


class Page(HTMLParser):
    """What a browser and a screen reader would find: elements in order, and whether tags are balanced."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.open, self.text = [], [], path.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]

    @property
    def own(self):
        """What this package wrote: all before the library's script."""
        return self.text.partition("<script>")[0]

    @property
    def first_screen(self):
        return self.text[self.text.index("<header>") : self.text.index("</header>")]


def report_of(folder, accuracies, picture=None, **arguments):
    study = make_study(folder / "in", accuracies, **arguments)
    aggregate(study, folder / "summary")
    return Page(write_report(folder / "summary", folder / "report", picture))


def page_of(folder, accuracies, **arguments):
    """The page with empty figures: drawing them is the slow part."""
    aggregate(make_study(folder / "in", accuracies, **arguments), folder / "summary")
    summary = load_summary(folder / "summary")
    figures = {drawing.name: EMPTY for drawing in drawings(summary)}
    write_bytes(folder / "page.html", render_page(summary, figures, None, None).encode())
    return Page(folder / "page.html")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def page(home):
    accuracies = default_accuracies(("stats", "spectral", "frequency"))
    return report_of(home, accuracies, absent=FAILED, adapters=100, seeds=2)


def test_page_is_well_formed(page):
    assert page.open == []
    ids = Counter(attributes["id"] for _, attributes, _ in page.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    targets = {link["href"][1:] for link in page.all("a") if link["href"].startswith("#")}
    assert targets <= set(ids)
    referenced = set(re.findall(r'(?:url\(#|xlink:href="#)([^)"]+)', page.text))
    assert referenced <= set(ids)


def test_page_needs_no_network(page):
    loaded = [
        value
        for tag, attributes, _ in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "action")
        and not value.startswith(("#", "data:", "figures/", "tables/", "summary.txt"))
    ]
    assert loaded == []
    assert "@import" not in page.own
    assert not re.search(r"url\((?!#)", page.own)
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'")


def test_linked_figures_exist_in_every_format(home, page):
    linked = {link["href"] for link in page.all("a") if link["href"].startswith("figures/")}
    drawn = drawings(load_summary(home / "summary"))
    assert {link.split("/")[1].split(".")[0] for link in linked} == {drawing.name for drawing in drawn}
    # These are of steps beside the cells, which this study has not.
    assert {drawing.name for drawing in DRAWINGS} - {drawing.name for drawing in drawn} <= {
        *("sizes", "layers", "ablation", "adapter_map")
    }
    for drawing in drawn:
        for extension in FORMATS:
            assert f"figures/{drawing.name}.{extension}" in linked
            content = (home / "report" / "figures" / f"{drawing.name}.{extension}").read_bytes()
            assert content.startswith(HEADS[extension])


def test_figures_of_very_many_cells_are_laid_out(tmp_path):
    """A layout that does not fit is a warning, and so an error here."""
    names = [f"representation_{number}" for number in range(76)]
    study = make_study(tmp_path / "in", {("all", name): 0.3 for name in names}, seeds=2, controls=False)
    aggregate(study, tmp_path / "summary")
    drawn = save_figures(load_summary(tmp_path / "summary"), tmp_path / "figures")
    assert {"accuracy", "precision_recall", "cost"} <= set(drawn)


@pytest.mark.parametrize("drawing", [COST, PRECISION_RECALL], ids=lambda drawing: drawing.name)
def test_the_key_of_two_probes_lies_inside_the_figure(tmp_path, drawing):
    names = ("delta_projector", "delta_bilinear", "delta_spectrum", "info_theoretic")
    study = make_study(tmp_path / "in", {("all", name): 0.3 for name in names}, seeds=2, controls=False)
    results = read_json(aggregate(study, tmp_path / "summary"))
    results["cells"] += [{**cell, "probe": "logistic"} for cell in results["cells"]]
    with mpl.rc_context(RC):
        figure = drawing.draw(Summary(results))
        figure.draw_without_rendering()
    for key in figure.legends:
        assert figure.bbox.x0 <= key.get_window_extent().x0 < key.get_window_extent().x1 <= figure.bbox.x1


def test_linked_tables_exist(home, page):
    linked = {link["href"] for link in page.all("a") if link["href"].startswith("tables/")}
    assert linked == {f"tables/{name}.tex" for name in TABLES}
    assert {path.stem for path in (home / "report" / "tables").iterdir()} == TABLES
    assert (home / "report" / "summary.txt").read_text().startswith("synthetic")


def test_first_screen_answers_and_hides_nothing(home, page):
    results = read_json(home / "summary" / "results.json")
    best = next(cell for cell in results["cells"] if cell["representation"] == "spectral")
    assert f"{100 * best['test_accuracy_mean']:.1f} %" in page.first_screen
    assert "Drop all → visual (spectral)" in page.first_screen
    assert "4 of 6" in page.first_screen
    assert "stats × all" in page.first_screen
    assert "LorascopeError: &lt;b&gt;NaN&lt;/b&gt; in 3 rows" in page.first_screen
    assert "seeds-42-43.runs.parquet does not exist" in page.first_screen
    assert "Sanity" not in page.text


def test_every_table_and_picture_has_words(page):
    tables = page.own.count("<table")
    assert tables == page.own.count("<caption>") > 5
    assert all(header.get("scope") in ("row", "col") for header in page.all("th"))
    drawn = [attributes for tag, attributes, _ in page.elements if tag == "svg"]
    assert all(drawing["role"] == "img" and len(drawing["aria-label"]) > 20 for drawing in drawn)
    assert [level for level, _, _ in page.elements if level == "h1"] == ["h1"]


def test_headings_skip_no_level(page):
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_charts_follow_the_theme(page):
    inlined = "".join(re.findall(r"<svg.*?</svg>", page.own, re.DOTALL))
    assert not re.search("|".join([INK, SERIES[0].colour, "#ffffff", "#000000"]), inlined)
    for variable in set(re.findall(r"var\((--[\w-]+)", page.own)) - {"--share", "--edge"}:
        assert page.text.count(f"{variable}:") >= 1


def test_figures_of_a_paper_are_readable_without_the_page(home, page):
    tree = ElementTree.parse(home / "report" / "figures" / "accuracy.svg")
    words = {element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert {"spectral", "all", "visual", "chance", "95 % test-set interval"} <= words
    assert {"✕ all: failed", "✕ visual: missing"} <= words


@pytest.mark.slow
def test_same_summary_same_bytes(home, page, tmp_path):
    write_report(home / "summary", tmp_path)
    written = sorted(path for path in (home / "report").rglob("*") if path.is_file())
    assert len(written) == 2 + len(TABLES) + len(drawings(load_summary(home / "summary"))) * len(FORMATS)
    for path in written:
        assert (tmp_path / path.relative_to(home / "report")).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_two_processes_draw_the_same_bytes(home, page, tmp_path):
    save_figures(load_summary(home / "summary"), tmp_path, processes=2)
    for path in sorted((home / "report" / "figures").iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_sanity_warns_on_the_first_screen_and_on_every_figure(tmp_path):
    page = report_of(
        tmp_path,
        {("all", "stats"): 0.9, ("visual", "stats"): 0.8},
        adapters=6,
        classes=3,
        sanity=True,
        seeds=1,
    )
    assert "Sanity check only" in page.first_screen
    assert "one seed: its spread is unknown" in page.first_screen
    for path in (tmp_path / "report" / "figures").glob("*.svg"):
        assert "sanity check only" in path.read_text(), path.name


def test_one_layer_set_has_no_drop(tmp_path):
    page = page_of(tmp_path, {("visual", "stats"): 0.9}, adapters=60, classes=3, seeds=1)
    assert "there is nothing to compare" in page.text
    assert "figures/drops.svg" not in page.text


def test_foreign_classes_stand_beside_the_accuracy(tmp_path, page):
    scored = page_of(tmp_path, {("all", "stats"): 0.9}, adapters=60, classes=3, seeds=1, foreign_auroc=0.734)
    heading = "Does it know what it was never shown?"
    assert heading in scored.text
    assert '<td data-value="0.734">0.73</td>' in scored.text
    assert heading not in page.text


def test_three_layer_sets_and_groups(tmp_path):
    accuracies = {(name, "stats"): 0.5 for name in ("all", "visual", "text")}
    page = page_of(tmp_path, accuracies, adapters=100, seeds=1, groups=5)
    assert "in 5 groups" in page.first_screen
    save_drawings([DROPS], load_summary(tmp_path / "summary"), tmp_path)
    assert "all → text" in (tmp_path / "drops.svg").read_text()


def test_nothing_finished_is_still_a_page(tmp_path):
    page = page_of(tmp_path, {("all", "stats"): 0.5}, absent={("all", "stats"): ""}, adapters=100)
    assert "no cell has finished" in page.first_screen
    assert "0 of 1" in page.first_screen
    assert page.open == []


def test_picture_is_part_of_the_page(tmp_path):
    picture = tmp_path / "samples.png"
    Image.new("RGB", (4, 3)).save(picture)
    page = report_of(tmp_path, {("all", "stats"): 0.5}, picture, adapters=100, seeds=1)
    (image,) = page.all("img")
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == picture.read_bytes()
    assert image["alt"]


def test_names_cannot_break_the_page(home, page, tmp_path):
    results = read_json(home / "summary" / "results.json")
    results["classes"][0] = "<script>alert(1)</script>"
    results["settings"]["name"] = "</pre><script>"
    figures = {path.stem: path.read_text() for path in (home / "report" / "figures").glob("*.svg")}
    write_bytes(tmp_path / "page.html", render_page(Summary(results), figures, None, "<script>").encode())
    assert len(Page(tmp_path / "page.html").all("script")) == 4
    assert "<script>alert" not in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_the_page_of_a_full_study_is_small(tmp_path):
    study = make_study(tmp_path / "in", default_accuracies(), seeds=10, block=5, adapters=1000)
    aggregate(study, tmp_path / "summary")
    page = write_report(tmp_path / "summary", tmp_path / "report")
    assert page.stat().st_size < 5_000_000


@pytest.mark.parametrize(("name", "words"), [("a.tiff", "not a picture"), ("a.png", "no such picture")])
def test_bad_pictures_are_refused(home, page, tmp_path, name, words):
    with pytest.raises(LorascopeError, match=words):
        write_report(home / "summary", tmp_path, tmp_path / name)
