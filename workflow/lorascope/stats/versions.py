"""Which libraries, processors and devices made a study's cells: others may compute other last digits."""

from collections.abc import Iterable
from pathlib import Path

from lorascope.computing import recorded_versions
from lorascope.files import read_metadata


def versions_of(paths: Iterable[str | Path]) -> dict[str, list[str]]:
    """Return name → the versions that made some result files, sorted; absent files do not count.

    Raises:
        LorascopeError: a file is damaged.
    """
    made_with: dict[str, set[str]] = {}
    for path in map(Path, paths):
        recorded = recorded_versions(read_metadata(path)) if path.exists() else {}
        for name, found in recorded.items():
            made_with.setdefault(name, set()).add(found)
    return {name: sorted(made_with[name]) for name in sorted(made_with)}


def differing(made_with: dict[str, list[str]], present: dict[str, str]) -> dict[str, list[str]]:
    """Return the names of :func:`versions_of` with several versions, the present one included."""
    together = {name: sorted({*found, present.get(name, found[0])}) for name, found in made_with.items()}
    return {name: versions for name, versions in together.items() if len(versions) > 1}
