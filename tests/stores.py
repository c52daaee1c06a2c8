"""Feature jobs that share a store: small prepared data, and the commands that the workflow would run."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from data_sets import make_data_set, random_factors

KEY = "0123456789"
DAMAGE_AT = 100


def make_data(folder: Path, seed: int = 0) -> Path:
    """Prepare a small data set; return its folder."""
    labels = [f"c{index % 3}" for index in range(12)]
    return make_data_set(folder, random_factors(12, seed=seed), labels)[0]


def words(
    data: Path, store: object, out: Path, representation: str = "stats", group: str = "attn1"
) -> list[str]:
    """Return the arguments of ``lorascope`` for one feature job."""
    options = {"data": data, "group": group, "representation": representation, "key": KEY}
    options |= {"store": store, "dataset": "made", "out": out}
    return ["extract", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def start(*arguments: str, before: str = "", prefix: Sequence[str] = ()) -> subprocess.Popen:
    """Start ``lorascope`` in a process of its own.

    Args:
        arguments: of the command.
        before: Python that runs first in the process.
        prefix: the command that starts it.
    """
    program = f"import sys\n{before}\nfrom lorascope.cli import main\nsys.exit(main(sys.argv[1:]))"
    words = [*prefix, sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def files_of(store: Path) -> list[Path]:
    """Return all files in a store but locks."""
    return sorted(path for path in store.rglob("*") if path.is_file() and path.name != ".lock")


def the_object(store: Path) -> Path:
    """Return the only feature file of a store."""
    (path,) = store.rglob("*.parquet")
    return path


def damage(path: Path) -> None:
    """Change one byte, in this file alone: others may be links to it."""
    content = bytearray(path.read_bytes())
    content[DAMAGE_AT] ^= 1
    path.unlink()
    path.write_bytes(content)
