import pyarrow as pa
import pytest

from lorascope.errors import LorascopeError
from lorascope.files import read_json, read_table, write_json, write_table
from lorascope.report import cautions, numbers
from lorascope.report.cautions import random_row
from lorascope.report.numbers import percent
from lorascope.report.summary import Summary, load_summary
from lorascope.report.text import answer, drop_kind, ranking, text_summary, verdict, warnings
from lorascope.stats.aggregate import aggregate
from lorascope.stats.controls import LESS, MORE, SAME
from lorascope.wording import plural
from synthetic_study import default_accuracies, make_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("study")
    accuracies = default_accuracies(("spectral", "info_theoretic", "stats")) | {("all", "spectral"): 0.6}
    study = make_study(home / "in", accuracies, absent={("visual", "stats"): "ValueError: no\n"})
    aggregate(study, home / "out")
    return home / "out"


@pytest.fixture
def summary(folder):
    """A fresh copy whose numbers a test may change."""
    return load_summary(folder)


def with_drop(summary, **numbers):
    summary.headline_drop.update(numbers)
    return answer(summary)


def test_verdict_names_best_cell_drop_cells_and_page(folder, summary):
    lines = verdict(folder, "report/index.html").splitlines()
    best, drop = summary.best, summary.headline_drop
    assert (best["representation"], best["layer_set"]) == ("spectral", "all")
    assert lines[1].startswith(
        f"Best cell: spectral × all (mlp): {100 * best['test_accuracy_mean']:.1f} % of 60 "
    )
    assert lines[2].startswith(f"Drop all → visual (spectral): {100 * drop['drop']:.1f} points [")
    assert lines[3].startswith("Random layers (ridge, spectral): visual loses ")
    assert lines[4].startswith("Controls: the majority class ")
    assert lines[5].startswith("Passport: fresh starts; no two adapters are the same update")
    assert lines[6] == "Cells: 5 of 6 done, 1 failed"
    assert lines[7] == "  failed: stats × visual (mlp): ValueError: no"
    assert lines[8] == "Page: report/index.html"


def test_text_summary_lists_every_cell(summary):
    text = text_summary(summary)
    table = text[text.index("representation ") :].splitlines()
    assert table[0].split() == ["representation", "all", "visual"]
    cell = summary.cell(("spectral", "mlp"), "all")
    (row,) = [line for line in table if line.startswith("spectral")]
    assert f"{100 * cell['test_accuracy_mean']:.1f} ± {100 * cell['test_accuracy_std']:.1f} [" in row
    assert next(line for line in table if line.startswith("stats")).endswith("failed")
    assert answer(summary) in text


def test_ranking_follows_the_tests(summary):
    pairs = [pair for pair in summary.results["comparisons"] if pair["layer_set"] == "all"]
    for pair in pairs:
        pair["p_holm"] = 0.01
    assert ranking(summary).endswith("measurably higher than every other representation.")
    first = max(pairs, key=lambda pair: pair["accuracy"])
    own = [pair for pair in pairs if pair["representation"] == first["representation"]]
    own[-1]["p_holm"] = 0.2
    assert ranking(summary).endswith(f"1 of 2 others; no measurable difference from {own[-1]['other']}.")
    summary.results["comparisons"].clear()
    assert ranking(summary) == ""


def test_equal_adapters_in_two_parts_are_a_warning(summary):
    assert warnings(summary) == []
    summary.results["duplicates"]["across_parts"] = 2
    assert warnings(summary)[0].startswith("2 sets of adapters with equal weights lie in two parts")


def test_words_follow_the_interval(summary):
    assert "a measurable 9.5 points are lost" in with_drop(summary, drop=0.095, drop_low=0.01, drop_high=0.2)
    assert "there is no measurable drop" in with_drop(summary, drop=0.095, drop_low=-0.01, drop_high=0.2)
    assert "there is no measurable drop" in with_drop(summary, drop=0.0, drop_low=0.0, drop_high=0.0)
    assert "a measurable 3.0 points are gained" in with_drop(
        summary, drop=-0.03, drop_low=-0.05, drop_high=-0.01
    )


def test_kind_of_a_drop_that_touches_zero_is_none():
    assert drop_kind({"drop_low": 0.0, "drop_high": 0.3}) == "none"
    assert drop_kind({"drop_low": -0.3, "drop_high": 0.0}) == "none"


def test_chance_is_no_knowledge(summary):
    summary.best.update(test_accuracy_adapters_low=0.08, chance=0.1)
    assert answer(summary).startswith("No measurable knowledge")
    assert "drop" not in answer(summary)


def test_a_missing_side_is_unknown_not_zero(summary):
    summary.headline_drop.update(drop=None, reason="visual failed")
    assert answer(summary).endswith("what the visual layers alone would tell is not known yet.")


def test_sanity_comes_first(folder, tmp_path):
    write_json(tmp_path / "results.json", read_json(folder / "results.json") | {"sanity": True})
    lines = verdict(tmp_path).splitlines()
    assert lines[0].startswith("Sanity check only")
    assert "the adapters that the probe was trained on" in lines[1]
    assert "unseen" not in lines[1]


def test_nothing_finished():
    cell = {"representation": "stats", "layer_set": "all", "probe": "mlp", "seeds": 0, "status": "missing"}
    assert "no cell has finished" in answer(Summary({"best": None, "reference": "all", "cells": [cell]}))


def test_one_layer_set_has_no_drop(tmp_path):
    study = make_study(tmp_path / "in", {("all", "stats"): 0.8}, seeds=1, adapters=60, classes=3)
    aggregate(study, tmp_path)
    text = verdict(tmp_path)
    assert "Drop" not in text
    assert "one seed only" in text


def test_results_of_another_version_are_refused(folder, tmp_path):
    write_json(tmp_path / "results.json", read_json(folder / "results.json") | {"format": 0})
    with pytest.raises(LorascopeError, match="run aggregate again"):
        load_summary(tmp_path)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (numbers.percent(0.4137), "41.4 %"),
        (numbers.percent(None), "–"),
        (numbers.points(-0.031), "−3.1 points"),
        (numbers.points(-0.0001), "0.0 points"),
        (numbers.interval(-0.01, 0.25), "[−1.0, 25.0]"),
        (numbers.interval(None, None), "–"),
        (numbers.p_value(0.0321), "0.032"),
        (numbers.p_value(1e-9), "< 0.001"),
        (numbers.seconds(3.21), "3.2 s"),
        (numbers.seconds(59.99), "60.0 s"),
        (numbers.seconds(4000), "1 h 7 min"),
        (plural(1, "cell"), "1 cell"),
        (plural(1200, "cell"), "1,200 cells"),
    ],
)
def test_numbers_are_written_for_people(written, expected):
    assert written == expected


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (SAME, "are lost, no more than with as many random layers."),
        (MORE, "are lost, more than with as many random layers."),
        (LESS, "are lost, less than with as many random layers."),
        ("not measurable", "points are lost."),
    ],
)
def test_the_headline_holds_a_drop_against_random_layers(summary, status, words):
    row = random_row(summary)
    row["status"] = status
    assert with_drop(summary, drop=0.095, drop_low=0.01, drop_high=0.2).endswith(words)


def test_a_study_without_random_layers_has_a_headline(summary):
    summary.results["random_layers"].clear()
    assert with_drop(summary, drop=0.095, drop_low=0.01, drop_high=0.2).endswith("points are lost.")


def scored(probe, accuracy, half, auroc, representation="delta_gram", layer_set="all"):
    return {
        "dataset": "zoo",
        "representation": representation,
        "layer_set": layer_set,
        "probe": probe,
        "test_accuracy_mean": accuracy,
        "test_accuracy_adapters_low": accuracy - half,
        "test_accuracy_adapters_high": accuracy + half,
        "test_auroc_mean": auroc,
    }


NOT_MADE = {**scored("mlp", 0.5, 0.0, 0.95), "test_accuracy_mean": None, "test_accuracy_adapters_high": None}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        # Measurably beaten, though its scores hold the class.
        ([scored("mlp", 0.30, 0.1, 0.92), scored("ridge", 0.925, 0.06, 0.99)], ["mlp"]),
        # Not measurably: the intervals meet.
        ([scored("mlp", 0.85, 0.05, 0.98), scored("ridge", 0.94, 0.05, 0.99)], []),
        # Its scores do not hold the class either.
        ([scored("mlp", 0.30, 0.1, 0.89), scored("ridge", 0.925, 0.06, 0.99)], []),
        # Other features, or other layers, are no better probe.
        ([scored("mlp", 0.30, 0.1, 0.92), scored("ridge", 0.925, 0.06, 0.99, "stats")], []),
        ([scored("mlp", 0.30, 0.1, 0.92), scored("ridge", 0.925, 0.06, 0.99, layer_set="visual")], []),
        ([scored("mlp", 0.30, 0.1, 0.92), NOT_MADE], []),
        ([scored("mlp", 0.30, 0.1, None), scored("ridge", 0.925, 0.06, 0.99)], []),
        ([], []),
    ],
)
def test_a_probe_is_out_of_its_depth_where_another_names_measurably_more(cells, expected):
    found = cautions.out_of_depth(cells)
    assert [cell["probe"] for cell, _ in found] == expected
    assert [best["probe"] for _, best in found] == ["ridge"] * len(expected)


def test_the_widest_gap_of_a_probe_is_told_and_how_many_more_there_are():
    cells = [
        scored("mlp", 0.60, 0.1, 0.96),
        scored("ridge", 0.90, 0.06, 0.99),
        scored("mlp", 0.30, 0.1, 0.92, layer_set="visual"),
        scored("ridge", 0.925, 0.06, 0.99, layer_set="visual"),
    ]
    (told,) = cautions._probe_cautions(cells)
    assert told.startswith(
        "mlp is out of its depth on delta_gram, visual layers, and in 1 cell more: it names "
    )
    assert f"{percent(0.30)} where ridge names {percent(0.925)}" in told
    assert "(AUROC 0.92)" in told


def test_with_two_probes_every_line_says_which_one_it_is_about(tmp_path):
    accuracies = {("all", "spectral"): 0.6, ("visual", "spectral"): 0.4, ("all", "stats"): 0.3}
    study = make_study(tmp_path / "in", accuracies)
    cells = study["cells"]
    doubled = make_study(tmp_path / "other", accuracies)["cells"]
    for path in [path for cell in doubled for path in cell["runs"]]:
        runs = read_table(path)
        ridge = pa.array(["ridge"] * runs.num_rows)
        write_table(path, runs.set_column(runs.column_names.index("probe"), "probe", ridge))
    aggregate(
        {**study, "cells": [*cells, *({**cell, "probe": "ridge"} for cell in doubled)]}, tmp_path / "out"
    )
    told = verdict(tmp_path / "out")
    assert "Drop all → visual (spectral · " in told
    both = load_summary(tmp_path / "out")
    assert ranking(both).startswith(f"On all with {both.best['probe']}, spectral scores highest")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"rejected": 2, "rows": 40}, "2 of 40 rows could not be used; "),
        ({"rejected": 1, "files": 1}, "1 of 1 file could not be used; "),
    ],
)
def test_what_was_left_out_of_a_source_is_said(summary, source, words):
    summary.results["manifest"]["source"] = source
    (told,) = [line for line in warnings(summary) if "could not be used" in line]
    assert told == f"{words}rejected.csv beside the prepared data says which and why."
    summary.results["passport"]["health"]["rejected_list"] = "results/mine/data/1/rejected.csv"
    assert f"{words}results/mine/data/1/rejected.csv says" in warnings(summary)[0]
