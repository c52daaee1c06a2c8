"""Compiled loops: what they take, where their machine code is kept, and that NaN stays NaN."""

import importlib.metadata
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from lorascope import compiled as compiled_module
from lorascope.compiled import compiled, float32, float64, int64, part_of_loops

ONE = np.float64(1)


@part_of_loops
def clipped(value):
    return value if value < ONE else ONE


@compiled
def sum_clipped(values: float32[2], found: float64[1], counts: int64[1]):
    """Write each row's sum of min(value, 1), and count the values that are not 0."""
    for row in range(len(values)):
        found[row] = 0
        counts[row] = 0
        for i in range(values.shape[1]):
            found[row] += clipped(np.float64(values[row, i]))
            counts[row] += values[row, i] != 0


def test_a_loop_does_what_the_function_says():
    values = np.random.default_rng(0).normal(0, 2, (7, 33)).astype(np.float32)
    values[:, 5] = 0
    found, counts = np.empty(7), np.empty(7, np.int64)
    sum_clipped(values, found, counts)
    np.testing.assert_allclose(found, np.minimum(values, 1.0).sum(axis=1, dtype=float))
    assert np.array_equal(counts, (values != 0).sum(axis=1))
    assert sum_clipped.__doc__.startswith("Write each row's sum")


def test_tensors_are_taken_where_they_lie():
    values, found, counts = (
        torch.full((2, 3), 0.5),
        torch.zeros(2, dtype=torch.float64),
        np.zeros(2, np.int64),
    )
    sum_clipped(values, found, counts)
    assert found.tolist() == [1.5, 1.5]
    assert counts.tolist() == [3, 3]


def test_nan_and_infinity_stay_what_they_are():
    values = np.array([[0, np.nan, 1], [-np.inf, 0, 0]], np.float32)
    found, counts = np.empty(2), np.empty(2, np.int64)
    sum_clipped(values, found, counts)
    assert counts.tolist() == [2, 1]
    assert found[1] == -np.inf


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3)), "needs row-major float32 of 2 dimensions, got row-major float64 of 2"),
        (np.zeros(3, np.float32), "got row-major float32 of 1 dimensions"),
        (np.zeros((3, 2), np.float32).T, "got not row-major float32"),
        (torch.zeros(3, 2).T, "got not row-major torch.float32"),
    ],
)
def test_other_arrays_are_refused(values, message):
    with pytest.raises(TypeError, match=message):
        sum_clipped(values, np.empty(2), np.empty(2, np.int64))
    with pytest.raises(ValueError, match="zip"):
        sum_clipped(np.zeros((2, 3), np.float32))


@compiled
def makes_an_array(found: float64[1]):
    found[0] = np.zeros(3).sum()


@compiled
def can_fail(found: float64[1]):
    if found[0] > 1:
        raise ValueError


def test_threads_that_load_a_loop_at_once_do_not_disturb_each_other():
    values, counts = np.ones((200, 500), np.float32), np.empty(200, np.int64)

    def run(_):
        found = np.empty(200)
        sum_clipped(values, found, counts)
        return found.tolist() == [500] * 200

    for _ in range(5):
        vars(sum_clipped).pop("_machine_code", None)
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(run, range(64)))


def test_what_makes_arrays_is_refused():
    with pytest.raises(TypeError, match="makes_an_array is no plain loop: it needs"):
        makes_an_array(np.zeros(1))


def test_a_failure_inside_a_loop_is_one():
    can_fail(np.zeros(1))
    with pytest.raises(RuntimeError, match="can_fail failed"):
        can_fail(np.full(1, 2.0))


@pytest.fixture
def in_a_process(tmp_path):
    """Return a function that uses a loop in a fresh process and says whether numba was needed for it."""
    source = tmp_path / "loops.py"
    source.write_text(
        textwrap.dedent("""
            import sys
            import numpy as np
            from lorascope.compiled import compiled, float64

            @compiled
            def double(values: float64[1]):
                for i in range(len(values)):
                    values[i] *= 2

            values = np.ones(3)
            double(values)
            assert values.tolist() == [2, 2, 2]
            print("numba" in sys.modules)
        """)
    )

    def run(**environment: str) -> bool:
        settings = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment}
        command = [sys.executable, str(source)]
        done = subprocess.run(command, env=settings, check=True, capture_output=True, text=True)
        return {"True": True, "False": False}[done.stdout.strip()]

    return run


def test_machine_code_is_made_once_and_kept_beside_the_source(in_a_process, tmp_path):
    assert in_a_process()
    (kept,) = (tmp_path / "__pycache__").glob("loops.double-*.o")
    assert not in_a_process()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert in_a_process(), "what is damaged is made again"
    assert not in_a_process()
    source = tmp_path / "loops.py"
    source.write_text(source.read_text() + "\n# edited\n")
    assert in_a_process()


@pytest.fixture
def scaled(tmp_path):
    """Return a function that runs a loop with constants of another file: what it found, and object files."""
    (tmp_path / "constants.py").write_text(
        "import numpy as np\nFACTOR = np.float64(3)\nTABLE = np.arange(2.0)\n"
    )
    (tmp_path / "loops.py").write_text(
        textwrap.dedent("""
            import numpy as np
            import constants
            from constants import FACTOR
            from lorascope.compiled import compiled, float64, part_of_loops
            HALF, TABLE = FACTOR / 2, constants.TABLE

            @part_of_loops
            def halved(value):
                return HALF * value

            @compiled
            def scale(values: float64[1]):
                values[0] *= FACTOR
                values[1] = halved(values[1])
                values[2] *= constants.FACTOR
                values[3] = TABLE[1]

            values = np.ones(4)
            scale(values)
            print(*values)
        """)
    )

    def run(old="", new=""):
        constants = tmp_path / "constants.py"
        constants.write_text(constants.read_text().replace(old, new))
        command = [sys.executable, "-B", str(tmp_path / "loops.py")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [float(word) for word in done.stdout.split()], len(list(tmp_path.glob("__pycache__/*.o")))

    return run


def test_a_constant_from_another_file_makes_other_machine_code(scaled):
    assert scaled() == ([3, 1.5, 3, 1], 1)
    assert scaled() == ([3, 1.5, 3, 1], 1)
    assert scaled("float64(3)", "float64(5)") == ([5, 2.5, 5, 1], 2)
    assert scaled("arange(2.0)", "arange(2.0) * 7") == ([5, 2.5, 5, 7], 3)
    assert scaled("float64(5)", "float64(3)")[0] == [3, 1.5, 3, 7]


def test_machine_code_is_named_by_what_it_is_compiled_with_for_and_from(monkeypatch):
    def double(values: float64[1]):
        values[0] *= 2

    def name(function=double, fused=False):
        return compiled(function, fused=fused)._file_name

    def other(values: float32[1]):
        values[0] *= 2

    names = {name(), name(fused=True)}
    other.__name__ = "double"
    names.add(name(other))
    version = importlib.metadata.version
    for package in ("numba", "llvmlite"):
        monkeypatch.setattr(
            importlib.metadata, "version", lambda one, of=package: version(one) + ".1" * (one == of)
        )
        names.add(name())
    monkeypatch.undo()
    for asked in ("get_default_triple", "get_host_cpu_name"):
        monkeypatch.setattr(compiled_module.llvm, asked, lambda: "another")
        names.add(name())
        monkeypatch.undo()
    features = compiled_module.llvm.get_host_cpu_features()
    features["avx512f"] = not features.get("avx512f", False)
    monkeypatch.setattr(compiled_module.llvm, "get_host_cpu_features", lambda: features)
    names.add(name())
    monkeypatch.undo()
    assert len(names) == 8
    assert name() in names


def test_where_the_source_cannot_be_written_the_users_cache_keeps_it(in_a_process, tmp_path):
    (tmp_path / "__pycache__").write_text("a file, so that no folder can be there")
    assert in_a_process()
    assert list((tmp_path / "cache" / "lorascope").glob("loops.double-*.o"))
    assert not in_a_process()
    nowhere = str(Path(os.devnull))
    assert in_a_process(XDG_CACHE_HOME=nowhere)
    assert in_a_process(XDG_CACHE_HOME=nowhere)
