"""A damaged intermediate of each kind: the run that reads it names it, and the next one makes it again."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults.recovery import ALL, Study
from lorascope.errors import DamagedFileError
from lorascope.files import read_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def flip(path: Path) -> None:
    """Change one bit, the first of a table's that means something: some of its headers nobody reads."""
    content = path.read_bytes()
    table = path.suffix == ".parquet"
    for place in range(40, len(content)) if table else [len(content) // 2]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        if not table or is_damaged(path):
            return
    raise AssertionError(f"{path}: no bit of it is missed")


def is_damaged(path: Path) -> bool:
    try:
        read_table(path)
    except DamagedFileError:
        return True
    return False


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@dataclass(frozen=True)
class Kind:
    """A kind of file, and what is taken away so that something reads it.

    Attributes:
        path, lost: patterns below the folders of the data set: what studies share, and what bears a name.
    """

    study: str
    path: str
    lost: str
    damage: str = "flipped bit"


NAMED = re.compile(r"\(marked as damaged: just run again\)$")
HOW = {"flipped bit": flip, "truncated": truncate}
FAULTS = {"flipped bit": "a bit of an intermediate flipped", "truncated": "an intermediate truncated"}
DATASET = {"sanity": "five", "zoo": "tiny", "sparse": "sparse/digits"}
CELL = "probes/stats/all.ridge/*"
ONE_CELL = f"{CELL}/seeds-* summary"
KINDS = {
    "weights": Kind("sanity", "data/*/weights/attn1.npy", "features probes summary"),
    "truncated weights": Kind("sanity", "data/*/weights/attn2.npy", "features probes summary", "truncated"),
    "layer table": Kind("sanity", "data/*/layers.parquet", "features probes summary", "truncated"),
    "table of a source": Kind("sanity", "data/*/source.parquet", "labels summary"),
    "description of a source": Kind("sanity", "data/*/source.json", "labels summary"),
    "label and split table": Kind("sanity", "labels/*/adapters.parquet", "probes summary"),
    "manifest": Kind("sanity", "labels/*/manifest.json", "summary", "truncated"),
    "passport": Kind("sanity", "passport/*/passport.json", "summary"),
    "features": Kind("sanity", "features/stats/*/attn1.parquet", "probes summary"),
    "scores of a seed": Kind("sanity", f"{CELL}/seeds/*.runs.parquet", ONE_CELL),
    "details of a seed": Kind("sanity", f"{CELL}/seeds/*.details.parquet", ONE_CELL, "truncated"),
    "scores of a cell": Kind("sanity", f"{CELL}/seeds-*.runs.parquet", "summary", "truncated"),
    "details of a cell": Kind("sanity", f"{CELL}/seeds-*.details.parquet", "summary"),
    "controls": Kind("sanity", "controls/*/controls.parquet", "summary"),
    "invariance": Kind("sanity", "controls/*/invariance.json", "summary"),
    "layer importance": Kind("sanity", "importance/stats/*/answers.parquet", "summary"),
    "folds of layer importance": Kind("sanity", "importance/stats/*/folds.parquet", "summary", "truncated"),
    "shard of a zoo": Kind("zoo", "zoo/*/adapters-0000.safetensors", "data features probes summary report"),
    "table of a shard": Kind("zoo", "zoo/*/adapters-0001.parquet", "data features probes summary report"),
    "picture": Kind("zoo", "zoo/*/samples.png", "report"),
    "fit": Kind("zoo", "fits/delta_gram/*/attn1.safetensors", "features/delta_gram probes summary report"),
    "norms of a passport": Kind("zoo", "passport/*/norms.parquet", "controls summary report"),
    "map of adapters": Kind("zoo", "adapter_map/*/map.parquet", "summary report"),
    "summary": Kind("zoo", "summary/results.json", "report"),
    "images": Kind("sparse", "images/*/images.npy", "runs comparison report"),
    "manifest of images": Kind("sparse", "images/*/manifest.json", "runs comparison report", "truncated"),
    "epochs of a sparse run": Kind(
        "sparse", "runs/uniform/*/seed-42/epochs.parquet", "comparison report", "truncated"
    ),
    "sparse run": Kind("sparse", "runs/uniform/*/seed-42/run.json", "comparison report"),
    "comparison of gates": Kind("sparse", "comparison/comparison.json", "report"),
}


def below(results: Path, dataset: str, pattern: str) -> list[Path]:
    """Return what a pattern matches of what studies share of a data set, and of what bears a study's name."""
    return [
        path for folder in (".", "studies/default") for path in results.glob(f"{folder}/{dataset}/{pattern}")
    ]


@pytest.mark.parametrize("name", KINDS if ALL else ["weights"])
def test_it_is_named_by_the_run_that_reads_it_and_made_again_by_the_next(name, tmp_path, tried, request):
    kind = KINDS[name]
    study: Study = request.getfixturevalue(kind.study)
    folder = tmp_path / "study"
    shutil.copytree(study.folder, folder, copy_function=shutil.copy2)
    results, dataset = folder / "results", DATASET[kind.study]
    damaged = below(results, dataset, kind.path)[0]
    HOW[kind.damage](damaged)
    # What others would be read for.
    for pattern in kind.lost.split():
        for path in below(results, dataset, pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = study.run(folder)
    assert done.returncode != 0
    line = next(line for line in done.stdout.splitlines() if NAMED.search(line))
    assert str(damaged.relative_to(folder)) in line
    tried(FAULTS[kind.damage], name, "FILE: …; … (marked as damaged: just run again)")
    study.assert_recovered(folder)
