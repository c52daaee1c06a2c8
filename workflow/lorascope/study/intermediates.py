"""What studies share: files and folders with a key in their name, and where below the results they lie."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from lorascope.study.named import SPARSE, STUDIES

KEY = re.compile("[0-9a-f]{10}")
# Kind → how many folders lie between the kind's own and what bears the key.
DEPTHS = {
    **dict.fromkeys(
        ("base", "zoo", "download", "data", "labels", "passport", "controls", "adapter_map", "images"), 0
    ),
    **dict.fromkeys(("fits", "features", "importance", "runs"), 1),
    **dict.fromkeys(("probes", "scaling"), 2),
}


def name_of(path: PurePath) -> str | None:
    """Return the intermediate that a file belongs to, such as ``zoo/fits/pca/0123456789``.

    Args:
        path: relative to the results folder.

    Returns:
        None where no part of the path is an intermediate.
    """
    parts = path.parts
    kind = _owner_parts(parts)
    if parts[0] == STUDIES or len(parts) <= kind or parts[kind] not in DEPTHS:
        return None
    last = kind + 1 + DEPTHS[parts[kind]]
    key = parts[last].split(".")[0] if len(parts) > last else ""
    return "/".join([*parts[:last], key]) if KEY.fullmatch(key) else None


def owner_of(name: str) -> str:
    """Return what an intermediate belongs to: a data set, or ``sparse/<images>``."""
    parts = name.split("/")
    return "/".join(parts[: _owner_parts(parts)])


def kind_of(name: str) -> str:
    """Return the kind of an intermediate, such as ``fits``."""
    parts = name.split("/")
    return parts[_owner_parts(parts)]


def _owner_parts(parts) -> int:
    return 2 if parts[0] == SPARSE else 1


def intermediates(results: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of all intermediates below a results folder; symbolic links are not followed."""
    owners = [*_folders(results), *_folders(results / SPARSE)]
    for owner in owners:
        for kind, depth in DEPTHS.items():
            places = [owner / kind]
            for _ in range(depth):
                places = [folder for place in places for folder in _folders(place)]
            for path in (path for place in places for path in _entries(place)):
                if not path.is_symlink() and (name := name_of(path.relative_to(results))):
                    yield name, path


def _entries(place: Path) -> list[Path]:
    return sorted(place.iterdir()) if place.is_dir() and not place.is_symlink() else []


def _folders(place: Path) -> list[Path]:
    return [path for path in _entries(place) if path.is_dir() and not path.is_symlink()]
