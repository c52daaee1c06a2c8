"""Memory of `prepare` and `extract` on data sets that are larger than what they may use."""

import json
import subprocess
import sys

import datasets
import pytest

import published

# MB. What a data set of any size may take; the limits of the project are 2,000 and 1,500.
PREPARE_ALLOWANCE = 900
EXTRACT_ALLOWANCE = 450
ADAPTERS, PARTS = 500, 5
# Not getrusage: its peak starts from that of the process that forked.
PROGRAM = """
import sys
from lorascope.cli import main
code = main(sys.argv[1:])
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
sys.exit(code)
"""


def peak(*arguments):
    """Return the largest resident memory of the command, file-backed pages included, in MB."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


@pytest.fixture(scope="module")
def large_set(tmp_path_factory):
    """Write 2,500 adapters of the published shape: 1 GB of weights, 1.5 GB on disk."""
    folder = tmp_path_factory.mktemp("large")
    for part in range(PARTS):
        weights = published.make_weights(ADAPTERS, seed=part)
        published.make_dataset(weights).save_to_disk(folder / f"part-{part}")
    parts = [datasets.load_from_disk(str(folder / f"part-{part}")) for part in range(PARTS)]
    datasets.concatenate_datasets(parts).save_to_disk(folder / "set")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_is_bounded_whatever_the_size(large_set):
    on_disk = sum(path.stat().st_size for path in (large_set / "set").iterdir()) / 2**20
    assert on_disk > 1.5 * PREPARE_ALLOWANCE
    settings = json.dumps({"source": "disk", "path": str(large_set / "set")})
    data = large_set / "data"
    assert peak("prepare", "--dataset", "mine", "--settings", settings, "--out", data) < PREPARE_ALLOWANCE
    assert (data / "weights" / "attn1.npy").stat().st_size / 2**20 > EXTRACT_ALLOWANCE
    for representation in ("simple_stats", "spectral"):
        out = large_set / f"{representation}.parquet"
        chosen = ("--group", "attn1", "--representation", representation, "--out", out)
        assert peak("extract", "--data", data, *chosen) < EXTRACT_ALLOWANCE
