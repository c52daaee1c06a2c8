"""How long jobs take: what counts as the same kind, and what earlier jobs let expect."""

from pathlib import Path

import pytest

from lorascope.study.durations import Durations, all_recorded, kind_of


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ("logs/zoo/prepare/0123456789.tsv", ("zoo", "prepare")),
        ("logs/zoo/zoo_train/0123456789.0003.tsv", ("zoo", "zoo_train")),
        ("logs/zoo/extract/stats.0123456789.attn1.tsv", ("zoo", "extract", "stats")),
        (
            "logs/zoo/train/stats/all.mlp.0123456789.seeds-42-46.tsv",
            ("zoo", "train", "stats", "all", "mlp"),
        ),
        ("logs/studies/default/zoo/page.tsv", ("zoo", "page")),
        ("logs/sparse/digits/train/dense.0123456789.seed-1.tsv", ("sparse/digits", "train", "dense")),
        ("logs/studies/default/sparse/digits/compare.tsv", ("sparse/digits", "compare")),
        ("/run/here/logs/lora-ws-1k/label/0123456789.log", ("lora-ws-1k", "label")),
    ],
)
def test_kinds(record, kind):
    assert kind_of(record) == kind


def test_expected_is_the_mean_of_the_kind_and_else_of_those_most_like_it():
    durations = Durations()
    for seconds in (2.0, 4.0):
        durations.add(("zoo", "train", "stats", "all", "mlp"), seconds)
    durations.add(("zoo", "train", "flat", "all", "ridge"), 10.0)
    durations.add(("zoo", "extract", "stats"), 100.0)
    assert durations.expected(("zoo", "train", "stats", "all", "mlp")) == 3.0
    assert durations.expected(("zoo", "train", "stats", "visual", "mlp")) == 3.0
    assert durations.expected(("zoo", "train", "pca", "all", "ridge")) == 10.0
    assert durations.expected(("zoo", "page")) is None


def test_what_is_left_counts_unknown_kinds_as_average_ones():
    durations = Durations()
    assert durations.left([("zoo", "page")]) is None
    assert durations.left([]) == 0.0
    durations.add(("zoo", "page"), 2.0)
    durations.add(("zoo", "label"), 4.0)
    assert durations.left([("zoo", "page"), ("zoo", "prepare")]) == 2.0 + 3.0


def test_records_are_read_and_broken_ones_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("logs/zoo/label").mkdir(parents=True)
    Path("logs/zoo/label/0123456789.tsv").write_text(
        "s\th:m:s\tmax_rss\n1.5\t0:00:01\t10\n2.5\t0:00:02\t10\n"
    )
    Path("logs/zoo/label/abcdef0123.tsv").write_text("s\th:m:s\n")
    Path("logs/zoo/label/abcdef0124.tsv").write_text("not a table")
    assert all_recorded().expected(("zoo", "label")) == 2.5
