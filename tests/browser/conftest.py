"""A real browser, and the page of a study with a failed and a missing cell."""

import os
import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from lorascope.report.page import write_report
from lorascope.stats.aggregate import aggregate
from synthetic_study import default_accuracies, make_study

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ABSENT = {("all", "stats"): "LorascopeError: features: NaN; run extract\n", ("visual", "frequency"): ""}
# Where screenshots are kept; below results/, which git ignores.
ARTEFACTS = Path(os.environ.get("LORASCOPE_ARTEFACTS", Path(__file__).parents[2] / "results" / "browser"))
WAIT_MS = 120_000


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def chromium():
    """The browser's path. On a developer's machine its absence skips, in CI it fails."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"no browser: install the Debian package chromium (looked for {', '.join(NAMES)})")
    return path


@pytest.fixture(scope="module")
def browser(chromium):
    # Not for the whole session: its event loop would run on, and snakemake refuses to start beside one.
    with sync_playwright() as playwright:
        # Chromium's sandbox does not run as root, which containers are; the pages are our own.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """The folder of a study: in, summary, report."""
    home = tmp_path_factory.mktemp("browser")
    accuracies = default_accuracies(("stats", "spectral", "frequency", "distribution"))
    aggregate(make_study(home / "in", accuracies, absent=ABSENT, seeds=2, adapters=200), home / "summary")
    write_report(home / "summary", home / "report")
    return home


class Visit:
    """One page in one window: what it logged and asked for is remembered."""

    def __init__(self, browser, path, *, width=1280, scheme="light", scripts=True):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda line: line.type == "error" and self.errors.append(line.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = path.as_uri()
        self.page.goto(self.address)
        if scripts:
            self.page.wait_for_selector("html[data-charts=drawn]")

    def marks(self, chart, kind):
        """Elements that a chart drew: kind is symbol, rect, rule, line, area or text."""
        return self.page.locator(f"[data-chart={chart}] .mark-{kind}.role-mark > :is(path, line, text)")

    def photograph(self, name):
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)

    def visible_rows(self, table):
        rows = self.page.locator(f"{table} tbody tr:visible")
        return [row.strip() for row in rows.all_inner_texts()]


def grave_violations(page):
    """What axe-core calls serious or critical, also in what is folded away."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    return [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.fixture
def visit(browser):
    """Open a page; at the end of the test it must have logged no error and asked for nothing else."""
    visits = []

    def open_page(path, **window):
        visits.append(Visit(browser, path, **window))
        return visits[-1]

    yield open_page
    for done in visits:
        done.context.close()
        assert done.errors == []
        outside = [url for url in done.requests if url != done.address and not url.startswith("data:")]
        assert outside == []
