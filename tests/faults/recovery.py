"""What every fault must be followed by: the same bytes from the next run, nothing half-written or left."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from lorascope.files import TEMP_SUFFIX, read_json, read_table
from lorascope.tensor_files import read_tensors
from workflow import command, metric_bytes, run, write_config

# More than a sample of each fault: `make test-faults` asks for it.
ALL = os.environ.get("LORASCOPE_FAULTS") == "all"
SEED = int(os.environ.get("LORASCOPE_FAULTS_SEED", "0"))

# Up to the tables, without the zoo, and as little of each step as can be.
SANITY = {
    "dataset": "five",
    "representations": ["stats"],
    "layer_sets": ["all", "visual"],
    "probes": ["ridge"],
    "controls": [],
    "importance": {"representation": "stats", "folds": 2, "remove": [1], "keep": [1], "controls": 1},
    "adapter_map": {"adapters": 0},
    "datasets": {"five": {"source": "sanity"}},
}
# To the page, with shards, a fitted representation, the map and the batched probe.
ZOO = {
    "dataset": "tiny",
    "representations": ["stats", "delta_gram"],
    "layer_sets": ["all"],
    "seeds": 2,
    "controls": ["norms"],
    "control_draws": 2,
    "importance": {"representation": "stats", "folds": 2, "remove": [1], "keep": [1], "controls": 1},
    "mlp": {"hidden": [16], "epochs": 4},
    "datasets": {"tiny": {"source": "zoo", "adapters": 30, "steps": 2, "images": 2, "block": 15}},
}
SPARSE = {"sparse": {"gates": ["dense", "uniform", "free_loss@0.5"], "seeds": 1, "epochs": 3}}


@dataclass(frozen=True)
class Study:
    """A study that nothing disturbed.

    Attributes:
        folder: where it was run.
        expected: what must not differ: path → bytes.
        target: what is asked of snakemake; nothing for the whole study.
        seconds: from the first job to the end.
    """

    folder: Path
    settings: dict
    expected: dict[str, bytes]
    target: tuple[str, ...]
    seconds: float

    def run(self, folder: Path):
        """Run to the end as a user does after a fault."""
        return run(folder, *self.target)

    def command(self, folder: Path) -> list[str]:
        """Return the command line of a run."""
        return command(folder, *self.target)

    def prepare(self, folder: Path) -> Path:
        """Make a folder in which nothing was run."""
        write_config(folder, self.settings)
        return folder

    def assert_recovered(self, folder: Path) -> None:
        """Run once more, and look at everything that is there then."""
        done = self.run(folder)
        assert done.returncode == 0, done.stdout
        assert_nothing_half_written(folder)
        assert left_over(folder) == []
        found = metric_bytes(folder)
        assert found.keys() == self.expected.keys()
        assert [path for path in found if found[path] != self.expected[path]] == []


def undisturbed(settings: dict, folder: Path, *target: str) -> Study:
    """Run a study that nothing disturbs."""
    write_config(folder, settings)
    started = time.monotonic()
    done = run(folder, *target)
    assert done.returncode == 0, done.stdout
    return Study(folder, settings, metric_bytes(folder), target, time.monotonic() - started)


def left_over(folder: Path) -> list[Path]:
    """Return temp files, and marks of damage that nobody saw to."""
    found = [*(folder / "results").rglob(f".*{TEMP_SUFFIX}"), *(folder / "results").rglob("*.is-damaged")]
    return sorted(found)


READERS = {
    ".parquet": read_table,
    ".json": read_json,
    ".safetensors": read_tensors,
    ".npy": lambda path: np.load(path, mmap_mode="r", allow_pickle=False),
    ".csv": lambda path: path.read_text().endswith("\n") or _fail(path),
    ".html": lambda path: path.read_text().rstrip().endswith("</html>") or _fail(path),
    ".svg": lambda path: path.read_text().rstrip().endswith("</svg>") or _fail(path),
}


def _fail(path: Path) -> None:
    raise AssertionError(f"{path} ends in its middle")


def assert_nothing_half_written(folder: Path) -> None:
    """Read every file that has its final name. Jobs that outlive snakemake may take one away meanwhile."""
    for path in sorted((folder / "results").rglob("*")):
        aside = ".damaged/" in f"{path}/"
        if path.is_file() and not aside and not path.name.endswith(TEMP_SUFFIX) and path.suffix in READERS:
            try:
                READERS[path.suffix](path)
            except Exception:
                if path.exists():
                    raise


def steps_of(process: int) -> dict[int, str]:
    """Return the jobs that a snakemake has running: process → step."""
    found = {}
    try:
        children = psutil.Process(process).children(recursive=True)
    except psutil.NoSuchProcess:
        return {}
    for child in children:
        try:
            words = child.cmdline()
        except psutil.Error:
            continue
        named = [place for place, word in enumerate(words) if Path(word).name == "lorascope"]
        if named and named[0] + 1 < len(words) and Path(words[0]).name.startswith("python"):
            found[child.pid] = words[named[0] + 1]
    return found


def statuses(folder: Path, dataset: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Return (representation, layer set) → status and reason, as the summary tells them."""
    summary = folder / "results/studies/default" / dataset / "summary"
    cells = json.loads((summary / "results.json").read_text())["cells"]
    return {(c["representation"], c["layer_set"]): (c["status"], c["reason"]) for c in cells}
