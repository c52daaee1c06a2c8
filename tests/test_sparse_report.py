"""The page on gates: what it says follows from the runs, pictures show what ran, the document is filled."""

import html
import re

import pytest

from lorascope.cli import main
from lorascope.errors import LorascopeError
from lorascope.files import write_json
from lorascope.report.document import fill, marks
from lorascope.sparse.compare import compare_runs, write_comparison
from lorascope.sparse.document import markdown
from lorascope.sparse.report import read_comparison, write_page
from lorascope.sparse.runs import read_runs
from lorascope.sparse.verdict import headline, kind
from sparse_runs import GATES, write_run, write_study


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("gates")
    write_comparison(
        [*write_study(home / "runs"), home / "runs/infobatch/key/seed-0"], home / "comparison", {}
    )
    write_page(home / "comparison", home / "report")
    return home


@pytest.fixture(scope="module")
def page(home):
    return (home / "report" / "index.html").read_text()


def test_the_answer_names_the_gate_that_is_soonest(home, page):
    words = headline(read_comparison(home / "comparison"))
    assert words.startswith("free_loss@0.5 comes within 0.3 points")
    assert html.escape(words) in page.replace("&#39;", "&#x27;")


def test_without_a_gate_that_arrives_the_answer_says_so(tmp_path):
    runs = [
        write_run(tmp_path / gate, gate, 1, [0.5, end]) for gate, end in (("dense", 0.9), ("uniform", 0.8))
    ]
    assert headline(compare_runs(*read_runs(runs))).startswith("No gate comes within")
    assert headline(compare_runs(*read_runs(runs[1:]))).startswith("Dense did not finish")


def test_a_gate_that_loses_is_shown_losing(home, page):
    comparison = read_comparison(home / "comparison")
    kinds = {own["gate"]: kind(own, "epochs_vs_dense") for own in comparison["gates"]}
    assert kinds["loss_topk"] == "loses"
    assert kinds["free_loss@0.5"] == "no measurable difference"
    assert kinds["dense"] == "unknown"
    row = re.search(r'<tr data-gate="loss_topk".*?</tr>', page, re.DOTALL).group()
    assert "<strong>loses</strong>" in row


def test_what_is_missing_is_named(page):
    assert "15 of 16" in page
    assert "infobatch/key/seed-0" in page


def test_pictures_are_drawn_from_what_ran(home, page):
    texts = {}
    for name in ("dashboard", "architecture"):
        for extension in ("svg", "png"):
            assert (home / "report" / "figures" / f"{name}.{extension}").stat().st_size > 3000
        texts[name] = (home / "report" / "figures" / f"{name}.svg").read_text()
    for words in ("B = 50 samples", "8 × 8 × 1", "12,345 weights", "loss_topk: forward pass", "sundew: 5.0"):
        assert words in texts["architecture"]
    for gate in GATES:
        assert gate in texts["dashboard"]
    assert page.count('role="img"') == 2


def test_the_page_needs_no_network(page):
    written = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!#|data:|figures/)[^"]*"', written)


def test_pages_are_the_same_bytes_each_time(home, tmp_path):
    write_page(home / "comparison", tmp_path)
    for name in ("index.html", "figures/dashboard.png", "figures/architecture.svg"):
        assert (tmp_path / name).read_bytes() == (home / "report" / name).read_bytes()


def test_the_document_is_filled_between_its_marks(home, tmp_path):
    path = tmp_path / "doc.md"
    begin, end = marks("sparse-table")
    path.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    arguments = ["sparse-table", "--comparison", str(home / "comparison"), "--document", str(path)]
    assert main([*arguments, "--machine", "two cores"]) == 0
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(GATES)
    assert len({line.count("|") for line in table}) == 1
    assert "two cores" in text
    assert "not finished: `" in text
    again = markdown(read_comparison(home / "comparison"), "two cores")
    fill(path, "sparse-table", again)
    assert path.read_text() == text
    assert again in text


def test_bad_input_is_refused_in_one_line(tmp_path, home, capsys):
    with pytest.raises(LorascopeError, match="no such file"):
        write_page(tmp_path, tmp_path / "report")
    write_json(tmp_path / "comparison.json", {"cells": []})
    with pytest.raises(LorascopeError, match="not a comparison of gates"):
        write_page(tmp_path, tmp_path / "report")
    document = tmp_path / "doc.md"
    arguments = ["sparse-table", "--comparison", str(home / "comparison"), "--document", str(document)]
    assert main(arguments) == 2
    document.write_text("\n".join(reversed(marks("sparse-table"))))
    assert main(arguments) == 2
    assert "lacks the lines" in capsys.readouterr().err
