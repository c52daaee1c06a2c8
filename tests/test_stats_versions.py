"""A library that computes and was changed between two runs is told; another one is not."""

import numpy
import pyarrow as pa
import pytest

from lorascope.files import read_json, read_metadata, read_table, write_table
from lorascope.report.summary import load_summary
from lorascope.report.text import warnings
from lorascope.stats.aggregate import aggregate
from lorascope.stats.versions import COMPUTING, differing, versions_of
from lorascope.study.provenance import provenance
from synthetic_study import default_accuracies, make_study


def made_with(path, **versions):
    write_table(path, pa.table({"seed": [1]}), {"versions": versions})
    return path


def test_every_version_is_found_once(tmp_path):
    files = [
        made_with(tmp_path / "a", numpy="2.4.1", torch="2.13.0"),
        made_with(tmp_path / "b", numpy="2.3.0", torch="2.13.0", pyarrow="18.0.0"),
        tmp_path / "absent",
    ]
    assert versions_of(files) == {"numpy": ["2.3.0", "2.4.1"], "torch": ["2.13.0"]}


@pytest.mark.parametrize(
    ("present", "mixed"),
    [("2.13.0", {}), ("2.14.0", {"torch": ["2.13.0", "2.14.0"]})],
)
def test_the_present_version_counts_too(present, mixed):
    assert differing({"torch": ["2.13.0"]}, {"torch": present}) == mixed


def test_result_files_record_what_computed_them():
    versions = provenance("0123456789", {}, ("lorascope.files",))["versions"]
    assert versions["numpy"] == numpy.__version__
    assert set(COMPUTING) <= set(versions)


def test_a_cell_of_another_version_is_told_and_one_without_a_record_is_not(tmp_path):
    study = make_study(tmp_path / "in", default_accuracies(("stats", "spectral")))
    aggregate(study, tmp_path / "out")
    assert not [line for line in warnings(load_summary(tmp_path / "out")) if "libraries" in line]
    runs = study["cells"][0]["runs"][0]
    write_table(runs, read_table(runs), {**read_metadata(runs), "versions": {"torch": "1.0", "rich": "1.0"}})
    results = aggregate(study, tmp_path / "out")
    assert read_json(results)["made_with"] == {"torch": ["1.0"]}
    (told,) = [line for line in warnings(load_summary(tmp_path / "out")) if "libraries" in line]
    assert "torch 1.0 and " in told
    assert "rich" not in told
