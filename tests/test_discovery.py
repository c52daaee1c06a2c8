"""A representation or gate is its module: to add one is to add a file, and nothing else changes."""

import json
import os
import subprocess
import sys

import pytest

from workflow import ROOT

KEYS = """
import json, sys
from lorascope.features.registry import REPRESENTATIONS
from lorascope.gates.registry import GATES
from lorascope.study.config import load_config
from lorascope.study.plan import Plan
from lorascope.study.sparse_plan import SparsePlan

settings = {"dataset": "five", "datasets": {"five": {"source": "sanity"}}, "probes": ["mlp", "gl_net"]}
plan = Plan(load_config({**settings, "representations": sys.argv[1].split(",")}))
sparse = SparsePlan(plan.config)
keys = {gate: sparse.run_key(gate) for gate in sys.argv[2].split(",")}
keys |= {cell.representation: cell.key for cell in plan.cells("five")} | {"study": plan.study_key("five")}
print(json.dumps({"keys": keys, "representations": REPRESENTATIONS, "gates": GATES}))
assert not {"torch", "scipy"} & set(sys.modules)
"""
NAMES = """
from lorascope.features.registry import REPRESENTATIONS
import sys
assert not [name for name in sys.modules if name.startswith("lorascope.features.representations.")]
assert "numpy" not in sys.modules
print(",".join(REPRESENTATIONS))
"""
SPARSITY = '''"""How few entries carry the weight."""
NAMES = ("participation_ratio",)


def compute(batch):
    return batch.frobenius[:, None]
'''
EVERY_OTHER = '''"""Every second sample of a batch."""
from lorascope.gates.dense import Dense


class EveryOther(Dense):
    def select(self, scores, candidates, generator):
        return super().select(scores, candidates, generator)[::2]


GATE = EveryOther
'''


@pytest.fixture
def python(package):
    """Return a function that runs a program on a copy of the package."""

    def run(*command):
        environment = {**os.environ, "PYTHONPATH": str(package.root.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=package.root.parent,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_new_representation_or_gate_changes_no_key_and_is_known(python, package):
    known = python("-c", NAMES).strip()
    before = json.loads(python("-c", KEYS, known, "dense,sundew"))
    package.append("features/representations/sparsity.py", SPARSITY)
    package.append("gates/every_other.py", EVERY_OTHER)
    after = json.loads(python("-c", KEYS, known, "dense,sundew"))
    assert after["keys"] == before["keys"]
    assert set(after["representations"]) - set(before["representations"]) == {"sparsity"}
    assert set(after["gates"]) - set(before["gates"]) == {"every_other"}
    with_it = json.loads(python("-c", KEYS, f"{known},sparsity", "dense,every_other"))["keys"]
    assert {name: with_it[name] for name in before["keys"] if name not in ("study", "sundew")} == {
        name: key for name, key in before["keys"].items() if name not in ("study", "sundew")
    }
    assert {"sparsity", "every_other"} <= set(with_it)


def test_a_new_representation_is_a_target_at_once(python, package):
    package.append("features/representations/sparsity.py", SPARSITY)
    settings = json.dumps({"five": {"source": "sanity"}})
    words = ["--snakefile", str(ROOT / "Snakefile"), "--cores", "1", "--dry-run", "sparsity", "--config"]
    told = python(
        "-m", "snakemake", *words, "dataset=five", f"datasets={settings}", "representations=[sparsity]"
    )
    assert "Extract sparsity of five" in told


def test_a_gate_that_was_added_is_built(python, package):
    package.append("gates/every_other.py", EVERY_OTHER)
    told = python(
        "-c",
        "from lorascope.gates.registry import build_gate; print(type(build_gate('every_other', 1, 4)))",
    )
    assert "every_other.EveryOther" in told
