"""How long do adapter files take: a folder of them to be read, and one to be compared with all of a study?

    python benchmarks/files.py --folder 1000 --adapters 10000

writes random adapters (as single files in the zoo's shape; prepared, in the zoo's and in the published shape:
0.4 MB of disk each), runs `lorascope prepare` and `lorascope similar` on them as processes of their own, and
writes files.md into benchmarks/results.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from extract import HERE, machine
from safetensors.numpy import save_file

from lorascope.adapters.architectures import sd15_shapes
from lorascope.adapters.names import DOWN, UP, MatrixInfo
from lorascope.data.prepare import prepare
from lorascope.data.sources.base import Batch, Source
from lorascope.files import write_json, write_table
from lorascope.zoo.recipe import Recipe, target_layers

CLASSES = 10
RUNS = 5
ROWS = 500
STUDY = "results/studies/default/bench"

Shapes = dict[str, tuple[int, int]]


def zoo_shapes() -> Shapes:
    """Return layer → (d_out, d_in) of the zoo's adapters."""
    return {layer: (d_out, d_in) for layer, d_out, d_in in target_layers(Recipe.from_settings({}))}


def write_file(path: Path, shapes: Shapes, rng: np.random.Generator) -> None:
    """Write one random adapter of rank 1."""
    tensors = {}
    for layer, (d_out, d_in) in shapes.items():
        tensors[f"unet.{layer}.lora.down.weight"] = rng.standard_normal((1, d_in), np.float32)
        tensors[f"unet.{layer}.lora.up.weight"] = rng.standard_normal((d_out, 1), np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def write_study(folder: Path, shapes: Shapes, n_adapters: int) -> None:
    """Prepare random adapters, with as much of a study around them as `similar` reads."""
    matrices = [
        matrix
        for layer, (d_out, d_in) in shapes.items()
        for matrix in (
            MatrixInfo(f"{layer}.{DOWN}", layer, DOWN, 1, d_in),
            MatrixInfo(f"{layer}.{UP}", layer, UP, d_out, 1),
        )
    ]

    def batches() -> Iterator[Batch]:
        rng = np.random.default_rng(0)
        for start in range(0, n_adapters, ROWS):
            rows = min(ROWS, n_adapters - start)
            yield {m.column: rng.standard_normal((rows, m.rows, m.cols), np.float32) for m in matrices}

    names = [f"{row:06d}" for row in range(n_adapters)]
    shared = folder / "results/bench"
    source = Source(matrices, pa.table({"adapter": names}), batches)
    prepare(source, "bench", "attention", shared / "data/key")
    labels = {"adapter": names, "label": ["any"] * n_adapters, "split": ["train"] * n_adapters}
    write_table(shared / "labels/key/adapters.parquet", pa.table(labels))
    settings = {"grouping": "attention", "layer_patterns": {"all": "*"}}
    keys = {"data": "key", "labels": "key"}
    results = {"dataset": "bench", "keys": keys, "settings": settings}
    write_json(folder / STUDY / "summary/results.json", results)


def seconds_of(*words: str) -> tuple[float, float]:
    """Return how long one command takes, from its start to its end, and its seconds of processor."""
    started, before = time.perf_counter(), os.times()
    subprocess.run([Path(sys.executable).with_name("lorascope"), *words], check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, used


def measure_folder(folder: Path, n_files: int, threads: int) -> list[str]:
    """Return one row of the table: what, adapters, seconds, seconds of processor."""
    rng = np.random.default_rng(0)
    for row in range(n_files):
        write_file(folder / f"tree/{row % CLASSES}/{row}.safetensors", zoo_shapes(), rng)
    settings = json.dumps({"source": "folder", "path": str(folder / "tree")})
    words = [
        "--dataset",
        "bench",
        "--settings",
        settings,
        "--threads",
        str(threads),
        "--out",
        str(folder / "out"),
    ]
    taken = seconds_of("prepare", *words)
    name = f"`prepare` of a folder, zoo shape, {threads} processes"
    return [name, f"{n_files:,}", *(f"{seconds:.1f}" for seconds in taken)]


def measure_similar(folder: Path, name: str, shapes: Shapes, n_adapters: int) -> list[str]:
    """Return one row of the table: what, adapters, and the medians of some runs."""
    write_study(folder, shapes, n_adapters)
    write_file(folder / "query.safetensors", shapes, np.random.default_rng(1))
    words = ["similar", str(folder / "query.safetensors"), "--study", str(folder / STUDY)]
    taken = [seconds_of(*words) for _ in range(RUNS)]
    return [f"`similar`, {name} shape", f"{n_adapters:,}", *(f"{x:.2f}" for x in np.median(taken, axis=0))]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=int, default=1000, help="files in the folder")
    parser.add_argument("--adapters", type=int, default=10000, help="adapters to compare with")
    parser.add_argument("--threads", type=int, default=2, help="processes of prepare")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        rows.append(measure_folder(Path(folder), options.folder, options.threads))
    for name, shapes in (("zoo", zoo_shapes()), ("published", sd15_shapes())):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure_similar(Path(folder), name, shapes, options.adapters))
    head = [["command", "adapters", "seconds", "of processor"], ["---", "--:", "--:", "--:"]]
    table = "\n".join("| " + " | ".join(row) + " |" for row in head + rows)
    words = f"{date.today().isoformat()}, {machine()}, load average {load:.1f} at the start."
    (HERE / "results" / "files.md").write_text(f"{words}\n\n{table}\n")
    print(table)


if __name__ == "__main__":
    main()
