"""Named studies: tables and pages stand side by side, and all that is computed is shared."""

from pathlib import Path

import pytest

from lorascope.study.intermediates import name_of
from lorascope.study.prune import remove, unneeded
from lorascope.study.record import record_files
from planning import Dag

FIVE = {
    "dataset": "five",
    "datasets": {"five": {"source": "sanity"}},
    "representations": ["stats", "delta_gram"],
    "probes": ["ridge"],
    "scaling": {"fractions": [0.5, 1], "representations": ["stats"]},
}
NAMED = {"stamp", "aggregate", "keep_probes", "page", "report"}
SIBLINGS = {"sparse_compare", "sparse_page", "sparse", "scaling_figure", "scaling"}


def outputs(dag) -> set[str]:
    return {str(output) for job in dag.jobs for output in job.output}


def finish_shared(dag) -> None:
    """Make the files of all that studies share."""
    dag.finish(*({job.rule.name for job in dag.jobs} - NAMED - SIBLINGS))


def test_a_study_of_another_name_computes_nothing_that_is_there(tmp_path):
    Dag(tmp_path, **FIVE).finish()
    assert set(Dag(tmp_path, study="second", **FIVE).planned) == NAMED


def test_other_settings_under_another_name_leave_the_first_study_as_it_is(tmp_path):
    other = FIVE | {"study": "second", "ridge": {"penalties": [1, 2]}}
    Dag(tmp_path, **FIVE).finish()
    second = Dag(tmp_path, **other)
    assert {"train", "scale"} <= set(second.planned)
    assert not {"prepare", "label", "fit", "extract", "passport"} & set(second.planned)
    second.finish()
    assert not Dag(tmp_path, **FIVE).needed
    assert not Dag(tmp_path, **other).needed


def test_there_and_back_under_one_name_makes_its_tables_and_page_alone(tmp_path):
    other = FIVE | {"ridge": {"penalties": [1, 2]}}
    for settings in (FIVE, other):
        Dag(tmp_path, **settings).finish()
    # What the stamp rule does: the last stamp alone is left.
    stamps = tmp_path / "results/studies/default/five/.study"
    (stamps / Dag(tmp_path, **FIVE).of("stamp")[0].wildcards.key).unlink()
    assert set(Dag(tmp_path, **FIVE).planned) == NAMED


@pytest.mark.parametrize("target", ["report", "sparse", "scaling"])
def test_what_bears_a_name_has_no_key_in_its_path_and_all_else_has_one(tmp_path, target):
    first, second = (outputs(Dag(tmp_path, target, study=name, **FIVE)) for name in ("first", "second"))
    assert first - second
    assert all(path.startswith("results/studies/first/") for path in first - second)
    assert all(path.startswith("results/studies/second/") for path in second - first)
    assert not any(path.startswith("results/studies/") for path in first & second)


@pytest.mark.parametrize("target", ["sparse", "scaling"])
def test_siblings_of_the_page_are_finished_too(tmp_path, target):
    Dag(tmp_path, target, **FIVE).finish()
    assert not Dag(tmp_path, target, **FIVE).needed
    renamed = Dag(tmp_path, target, study="second", **FIVE).planned
    assert set(renamed) - {"sparse_compare", "sparse_page", "scaling_figure"} == {"stamp", target}
    for path in (tmp_path / "results").glob("**/.study/*"):
        path.unlink()
    assert {"stamp", target} < set(Dag(tmp_path, target, **FIVE).planned)


ZOO = {"dataset": "zoo", "datasets": {"zoo": {"source": "zoo", "base": "train", "adapters": 30}}}


@pytest.mark.parametrize(
    ("targets", "config"), [((), FIVE), (("scaling",), FIVE), ((), ZOO), (("sparse",), {})]
)
def test_a_study_records_all_that_is_shared_and_nothing_of_it_is_pruned(
    tmp_path, monkeypatch, targets, config
):
    monkeypatch.chdir(tmp_path)
    dag = Dag(tmp_path, *targets, **config)
    finish_shared(dag)
    shared = {path for path in outputs(dag) if not path.startswith("results/studies/")}
    assert all(name_of(Path(path).relative_to("results")) for path in shared)
    assert unneeded("results"), "nothing refers to them yet"
    record_files("results/studies/default", "results", outputs(dag), lambda part: "0123456789")
    assert unneeded("results") == []


def test_what_a_change_of_settings_leaves_behind_is_all_that_is_pruned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = FIVE | {"ridge": {"penalties": [1, 2]}}
    for settings, key in ((FIVE, "a" * 10), (other, "b" * 10)):
        dag = Dag(tmp_path, **settings)
        finish_shared(dag)
        record_files("results/studies/default", "results", outputs(dag), lambda part, key=key: key)
    assert {one.kind for one in unneeded("results")} == {"controls", "probes", "scaling"}
    remove(unneeded("results"), "results")
    assert not Dag(tmp_path, "features", **other).needed
    assert {"train", "scale"} <= set(Dag(tmp_path, **FIVE).planned)
