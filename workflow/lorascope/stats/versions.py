"""Which versions of the libraries made a study's cells: other ones may compute other last digits."""

from collections.abc import Iterable
from pathlib import Path

from lorascope.files import read_metadata

# What computes. A change of any other package cannot change a number.
COMPUTING = ("numpy", "scikit-learn", "scipy", "torch")


def versions_of(paths: Iterable[str | Path]) -> dict[str, list[str]]:
    """Return package → the versions that made some result files, sorted; absent files do not count.

    Raises:
        LorascopeError: a file is damaged.
    """
    made_with: dict[str, set[str]] = {}
    for path in map(Path, paths):
        recorded = read_metadata(path).get("versions", {}) if path.exists() else {}
        for name in set(COMPUTING) & set(recorded):
            made_with.setdefault(name, set()).add(recorded[name])
    return {name: sorted(made_with[name]) for name in sorted(made_with)}


def differing(made_with: dict[str, list[str]], present: dict[str, str]) -> dict[str, list[str]]:
    """Return the packages of :func:`versions_of` with several versions, the present one included."""
    together = {name: sorted({*found, present.get(name, found[0])}) for name, found in made_with.items()}
    return {name: versions for name, versions in together.items() if len(versions) > 1}
