"""Named studies: tables and pages stand side by side, and all that is computed is shared."""

import pytest

from planning import Dag

FIVE = {
    "dataset": "five",
    "datasets": {"five": {"source": "sanity"}},
    "representations": ["stats", "delta_gram"],
    "probes": ["ridge"],
    "scaling": {"fractions": [0.5, 1], "representations": ["stats"]},
}
NAMED = {"stamp", "aggregate", "keep_probes", "page", "report"}


def outputs(dag) -> set[str]:
    return {str(output) for job in dag.jobs for output in job.output}


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
