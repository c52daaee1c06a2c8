"""Run the workflow as a user does: the real command, in a folder of its own."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import yaml

from lorascope.files import read_table

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))

# Seconds, and how accurate a sparse run is when another one has ended.
CLOCKED = re.compile("seconds|^time_vs_")

# Every step of the default study in miniature: an untrained look, but real files.
TINY_ZOO = {
    "dataset": "tiny",
    "representations": ["stats", "matrix_norms", "ensemble"],
    "probes": ["mlp"],
    "seeds": 2,
    "importance": {"representation": "stats", "remove": [1], "keep": [1], "controls": 1},
    "mlp": {"hidden": [16], "epochs": 4},
    "datasets": {"tiny": {"source": "zoo", "adapters": 30, "steps": 2, "images": 2, "block": 10}},
}


def write_config(folder: Path, settings: dict) -> None:
    """Write ``study.yaml`` into a folder: settings on top of the default study."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(settings))


def command(folder: Path, *arguments: str) -> list[str]:
    """Return the command line that runs the study of a folder, results and all inside it."""
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    # Targets first: --configfile would take them for further files.
    return [SNAKEMAKE, *arguments, *where, "--cores", "2", "--configfile", str(folder / "study.yaml")]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run to the end; stdout holds both streams."""
    return subprocess.run(
        command(folder, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def run_and_kill(folder: Path, seconds: float) -> bool:
    """Run, and after some seconds kill -9 the whole process group; return whether it was still running."""
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def jobs(done: subprocess.CompletedProcess) -> dict[str, int]:
    """Return the job statistics that snakemake printed; empty when there was nothing to do."""
    assert done.returncode == 0, done.stdout
    counts = {}
    lines = iter(done.stdout.splitlines())
    for line in lines:
        if line.startswith("Job stats:"):
            next(lines), next(lines)
            for row in lines:
                if not row.strip():
                    return counts
                name, count = row.split()
                counts[name] = int(count)
    return counts


def metric_bytes(folder: Path) -> dict[str, bytes]:
    """Return what must not differ between two runs of a study: all tables, without clocks and versions."""
    content = {}
    for path in sorted((folder / "results").rglob("*.parquet")):
        table = read_table(path)
        table = table.drop_columns([name for name in table.column_names if CLOCKED.search(name)])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
            writer.write_table(table.replace_schema_metadata(None).combine_chunks())
        content[str(path.relative_to(folder))] = sink.getvalue().to_pybytes()
    return content
