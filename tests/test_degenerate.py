"""Data sets with little or nothing to tell: every step answers, or says in one line why it cannot.

Each runs every step from `prepare` to the tables; the page is drawn for one in which little can be measured.
"""

import contextlib
import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from degenerate import LAYERS, labels, ordinary, write
from in_process import run_to_tables, write_page
from lorascope.features.certify import ALIKE, TOO_FEW, TOO_LARGE, certify
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.registry import REPRESENTATIONS
from lorascope.files import read_json

EVERYTHING = list(REPRESENTATIONS)
DENORMAL, LARGE = np.float32(1e-40), np.float32(1e30)


@dataclass
class Case:
    """Adapters by layer, their classes, and what else the source knows."""

    factors: dict
    labels: list[str]
    columns: dict = field(default_factory=dict)

    @classmethod
    def of(cls, n=24, layers=LAYERS, rank=1):
        return cls(ordinary(n, layers, rank), labels(n))

    def zero(self, layers, rows, *sides):
        for layer in layers:
            for side in sides:
                self.factors[layer][side][rows] = 0
        return self


DOWN, UP, EVERY = 0, 1, slice(None)


def dead_layers():
    """B is zero in one layer, as it was at the start of training, and both are in another."""
    return Case.of().zero(LAYERS[:1], EVERY, UP).zero(LAYERS[-1:], EVERY, DOWN, UP)


def dead_adapters():
    return Case.of().zero(LAYERS, [4, 5], UP).zero(LAYERS, [7], DOWN).zero(LAYERS, [9], DOWN, UP)


def one_living():
    return Case.of().zero(LAYERS, slice(1, None), UP)


def all_dead():
    return Case.of(rank=2).zero(LAYERS, EVERY, UP)


def constant_columns():
    """Norms, entries and whole factors that are the same in all adapters."""
    case = Case.of()
    for layer in LAYERS:
        down, up = case.factors[layer]
        np.sign(down, out=down), np.sign(up, out=up)
        down[:, :, :3] = 1
    return case


def too_large():
    case = Case.of()
    for pair in case.factors.values():
        for values in pair:
            values *= LARGE
    return case


def denormal():
    case = Case.of(rank=2)
    for pair in case.factors.values():
        for values in pair:
            values *= DENORMAL
    return case


def all_scales():
    case = Case.of()
    scales = np.geomspace(1e-30, 1e30, 24).astype(np.float32)[:, None, None]
    for _, up in case.factors.values():
        up *= scales
    return case


def two_adapters():
    return Case.of(2)


def two_equal_adapters():
    case = Case.of(2)
    for pair in case.factors.values():
        for values in pair:
            values[1] = values[0]
    return case


def one_feature():
    """One layer of one number on either side."""
    rng = np.random.default_rng(0)
    down, up = (rng.standard_normal((24, 1, 1)).astype(np.float32) for _ in range(2))
    return Case({LAYERS[0]: (down, up)}, labels(24))


def classes_of_one_adapter():
    return Case(ordinary(4), list("abcd"))


def parts_of_one_class():
    case = Case.of()
    case.columns["split"] = ["train"] * 16 + ["validation", "test"] * 4
    return case


def odd_columns():
    """What a source's table may hold beside the label."""
    case, n, nan = Case.of(), 24, float("nan")
    case.columns |= {"alpha": ["high"] * n, "loss": [nan] * n, "rate": [0.1] * (n - 1) + [float("inf")]}
    case.columns |= {"nothing": pa.nulls(n), "no_text": pa.nulls(n, pa.string()), "bytes": [b"\xff"] * n}
    case.columns |= {"rank": [nan] * n, "network_dim": [float("inf")] * n, "flag": [True, False] * (n // 2)}
    return case


CASES = [dead_layers, dead_adapters, one_living, all_dead, constant_columns, too_large, denormal]
CASES += [all_scales, two_adapters, two_equal_adapters, one_feature, classes_of_one_adapter]
CASES += [parts_of_one_class, odd_columns]


def study(case, representations):
    return {
        "dataset": "made",
        "layer_sets": ["all", "visual"] if len(case.factors) > 1 else ["all"],
        "representations": representations,
        "probes": ["mlp", "ridge", "kernel", *(["w2t"] if "factors" in representations else [])],
        "control_draws": 2,
        "seeds": 1,
        "mlp": {"hidden": [8], "epochs": 2},
        "w2t": {"width": 8, "heads": 2, "hidden": 8, "epochs": 2},
        "importance": {"remove": [1], "keep": [1], "controls": 1},
        "datasets": {"made": {"source": "disk", "path": "set"}},
    }


def tables_of(folder, case, representations):
    """Run a study up to its tables, check that they hold nothing but numbers; return results and plan."""
    write(Path(folder, "set"), case.factors, case.labels, **case.columns)
    plan = run_to_tables(study(case, representations))
    for path in Path(plan.named("made", "summary")).glob("*.parquet"):
        table = pq.read_table(path)
        for name in table.column_names:
            if pa.types.is_floating(table[name].type):
                assert not pc.any(pc.is_nan(table[name])).as_py(), (path, name)
    return read_json(plan.named("made", "summary", "results.json")), plan


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.__name__ for case in CASES])
def test_every_step_answers(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Each representation meets some of the cases, and all meet the one that real adapters make.
    representations = EVERYTHING[number % 6 :: 6] if number else EVERYTHING
    results, _ = tables_of(tmp_path, CASES[number](), representations)
    assert {cell["status"] for cell in results["cells"]} == {"done"}
    assert {state["status"] for state in results["analyses"].values()} <= {"done", "not measurable"}
    for row in results["invariance"]:
        assert (row["reason"] is None) == (None not in (row["invariant"], row["holds"]))


def invariance_of(results):
    return {row["representation"]: row for row in results["invariance"]}


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (all_dead, "delta_spectrum", TOO_FEW),
        (one_living, "stats", TOO_FEW),
        (too_large, "delta_spectrum", TOO_LARGE),
    ],
)
def test_the_certificate_says_what_it_could_not_measure(make, name, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results, plan = tables_of(tmp_path, make(), [name])
    row = invariance_of(results)[name]
    assert row["reason"] == reason
    if make is all_dead:
        # It is not the page's last word, but it has one.
        assert results["analyses"]["adapter_map"]["status"] == "not measurable"
        write_page(plan)
        page = Path(plan.named("made", "report", "index.html")).read_text()
        assert f"not measurable: {TOO_FEW}" in page
        assert "not measurable: adapter map: the updates of all training adapters point the same way" in page


def test_features_that_nothing_changes_have_no_drift():
    """One adapter beside its copy: features are the same, whatever the changes do to them."""
    down, up = (np.repeat(values[:1], 2, axis=0) for values in ordinary(2)[LAYERS[0]])
    found = certify("delta_spectrum", {LAYERS[0]: LayerFactors(down, up)})
    assert (found["invariant"], found["holds"], found["reason"]) == (None, None, ALIKE)
    assert set(found["drifts"].values()) == {None}


DAMAGES = ("none", "zero B", "zero A", "equal", "constant", "denormal", "large", "one adapter")


def damaged(values, damage):
    down, up = values
    if damage == "zero B":
        up[:] = 0
    elif damage == "zero A":
        down[:] = 0
    elif damage == "equal":
        down[:], up[:] = down[:1], up[:1]
    elif damage == "constant":
        down[:], up[:] = 1, -1
    elif damage == "denormal":
        up *= DENORMAL
    elif damage == "large":
        up *= LARGE
    elif damage == "one adapter":
        up[1:] = 0


@settings(max_examples=5, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    damages=st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3),
    n=st.sampled_from([2, 3, 11, 24]),
    rank=st.sampled_from([1, 3]),
    first=st.integers(0, 5),
)
def test_any_mixture_of_damages(damages, n, rank, first):
    case = Case(ordinary(n, LAYERS[: len(damages)], rank), labels(n))
    for layer, damage in zip(LAYERS, damages, strict=False):
        damaged(case.factors[layer], damage)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if set(damages) <= {"equal", "constant"} and n > 10:
            refused_as_equal(folder, case)
        else:
            tables_of(folder, case, EVERYTHING[first::6])


def refused_as_equal(folder, case):
    """All adapters are one: no part of a split could hold anything that another does not."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(AssertionError):
        tables_of(Path(folder), case, ["stats"])
    (line,) = [line for line in said.getvalue().splitlines() if "error:" in line]
    assert "a class needs three groups (equal adapters are one)" in line
