"""A library that computes and was changed between two runs is told; another one is not."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_info

from lorascope import computing
from lorascope.computing import COMPUTING, blas, computing_versions, processor, recorded_versions
from lorascope.files import read_json, read_metadata, read_table, write_table
from lorascope.report.summary import load_summary
from lorascope.report.text import warnings
from lorascope.stats.aggregate import aggregate
from lorascope.stats.versions import differing, versions_of
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
    about = provenance("0123456789", {}, ("lorascope.files",))
    assert about["versions"]["numpy"] == numpy.__version__
    for name in ("numba", "llvmlite", "scipy", "scikit-learn", "torch"):
        assert about["versions"][name] == version(name)
    assert list(recorded_versions(about)) == list(COMPUTING)
    assert about["device"] == "cpu"


def test_the_blas_of_numpy_is_named_with_the_processor_that_it_is_for():
    program = "from lorascope.computing import blas; print(blas())"

    def told(**variables):
        environment = {**os.environ, **variables}
        return subprocess.check_output([sys.executable, "-c", program], env=environment, text=True).split()

    here = told()
    (library,) = [one for one in threadpool_info() if "numpy" in one["filepath"]]
    assert here == [library["internal_api"], library["version"], library["architecture"]]
    if here[0] == "openblas" and platform.machine() == "x86_64":
        assert told(OPENBLAS_CORETYPE="Haswell")[2] == "Haswell"


def test_the_blas_does_not_depend_on_what_else_is_loaded():
    import sklearn.linear_model  # noqa: F401, brings scipy's own

    assert len({library["filepath"] for library in threadpool_info()}) > 1
    assert blas() == computing_versions()["BLAS"]


def test_a_machine_without_a_named_processor_says_its_architecture(tmp_path, monkeypatch):
    facts = Path("/proc/cpuinfo").read_text()
    assert "model name" not in facts or processor() in facts
    (tmp_path / "cpuinfo").write_text("processor : 0\nBogoMIPS : 50.00\n")
    for file in ("cpuinfo", "absent"):
        monkeypatch.setattr(computing, "_CPU_FACTS", tmp_path / file)
        assert processor() == (platform.processor() or platform.machine())


@pytest.mark.parametrize("name", COMPUTING)
def test_each_thing_that_computes_is_told_when_it_differs(tmp_path, name):
    about = provenance("0123456789", {}, ("lorascope.files",))
    other = {**about, "versions": {**about["versions"]}}
    (other if name == "device" else other["versions"])[name] = "another"
    for file, stored in (("a", about), ("b", other)):
        write_table(tmp_path / file, pa.table({"seed": [1]}), stored)
    made_with = versions_of([tmp_path / "a", tmp_path / "b"])
    assert set(differing(made_with, computing_versions())) == {name}


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
