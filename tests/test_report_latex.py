import re
import shutil
import subprocess

import pytest

from lorascope.files import read_json, write_json
from lorascope.report.latex import escaped, save_tables, tables
from lorascope.report.summary import load_summary
from lorascope.stats.aggregate import aggregate
from synthetic_study import default_accuracies, make_study

PAPER = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("latex")
    absent = {("visual", "rank_based"): "ValueError: 100 % wrong_thing & more\n"}
    accuracies = default_accuracies(("spectral", "rank_based", "stats"))
    aggregate(make_study(home / "in", accuracies, absent=absent, seeds=2, adapters=100), home / "out")
    return home / "out"


@pytest.fixture(scope="module")
def summary(folder):
    return load_summary(folder)


def body(table):
    """Rows of cells between midrule and bottomrule."""
    rows = table.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().split("\n")
    return [[cell.strip() for cell in row.removesuffix("\\\\").split(" & ")] for row in rows]


def test_every_row_has_as_many_cells_as_its_head(summary):
    for name, table in tables(summary).items():
        columns = len(re.search(r"tabular}{([lr]+)}", table)[1])
        assert {len(row) for row in body(table)} == {columns}, name
        for rule in ("toprule", "midrule", "bottomrule"):
            assert table.count(f"\\{rule}") == 1


def test_accuracy_is_that_of_the_summary(summary):
    rows = {row[0]: row[1:] for row in body(tables(summary)["accuracy"])}
    cell = summary.cell(("spectral", "mlp"), "visual")
    low, high = (100 * cell[f"test_accuracy_adapters_{end}"] for end in ("low", "high"))
    expected = f"{100 * cell['test_accuracy_mean']:.1f} $\\pm$ {100 * cell['test_accuracy_std']:.1f}"
    assert rows["spectral"][1] == f"{expected} [{low:.1f}, {high:.1f}]"
    assert rows["rank\\_based"][1] == "failed"
    bold = [cell for cells in rows.values() for cell in cells if "textbf" in cell]
    assert len(bold) == 1


def test_drops_name_what_is_missing(summary):
    rows = {row[0]: row for row in body(tables(summary)["drops"])}
    assert rows["rank\\_based"][2] == "visual failed"
    assert rows["spectral"][1] == "all $\\rightarrow$ visual"


def test_a_sanity_check_says_so(folder, tmp_path):
    write_json(tmp_path / "results.json", read_json(folder / "results.json") | {"sanity": True})
    for table in tables(load_summary(tmp_path)).values():
        assert table.startswith("% Sanity check only")


def test_names_are_no_commands():
    assert escaped(r"a_b & 5 % \input{x}") == r"a\_b \& 5 \% \textbackslash{}input\{x\}"
    assert escaped("−1.0") == "$-$1.0"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_a_paper_takes_the_tables(summary, tmp_path):
    written = save_tables(summary, tmp_path)
    paper = tmp_path / "paper.tex"
    paper.write_text(PAPER % "\n\n".join(rf"\input{{{path.name}}}" for path in written))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", paper.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
