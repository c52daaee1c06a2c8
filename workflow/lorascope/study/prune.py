"""What no named study needs: intermediates of earlier settings, data or code, and their logs."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.study.config import RULES
from lorascope.study.intermediates import KEY, intermediates, kind_of
from lorascope.study.named import SPARSE, STUDIES
from lorascope.study.record import keys_of_records, needed

LOGS = "logs"
_KEY_IN_NAME = re.compile(rf"(?<![0-9a-z])(?:{KEY.pattern})(?![0-9a-z])")
# The rules of sparse training log under shorter names.
_LOGGED = {*RULES, "images", "train"}
_PRUNED = ".pruned"


@dataclass(frozen=True)
class Unneeded:
    """A file or folder that no named study refers to.

    Attributes:
        kind: ``features``, ``probes``, …, or ``logs``.
        size: bytes that are free once it is gone; a file with another hard link (a store's) frees none.
    """

    kind: str
    path: Path
    size: int


def unneeded(results: str | Path, logs: str | Path | None = None) -> list[Unneeded]:
    """Return what no named study refers to, the largest first.

    Args:
        results: the results folder.
        logs: the folder of its logs; None leaves logs alone.

    Raises:
        LorascopeError: there is no results folder, or a study does not say what it is made of.
    """
    results = Path(results)
    if not results.is_dir():
        raise LorascopeError(
            f"{results}: no results folder here; stand where the study runs, or give --results"
        )
    names = needed(results)
    found = [
        Unneeded(kind_of(name), path, _size(path))
        for name, path in intermediates(results)
        if name not in names or path.name.endswith(_PRUNED)
    ]
    if logs is not None:
        keys = {name.rpartition("/")[2] for name in names} | keys_of_records(results)
        stale = _stale_logs(Path(logs), keys, results / STUDIES)
        found += [Unneeded(LOGS, path, _size(path)) for path in stale]
    return sorted(found, key=lambda one: (-one.size, str(one.path)))


def remove(found: list[Unneeded], results: str | Path, logs: str | Path | None = None) -> None:
    """Remove what :func:`unneeded` returned, and the folders that are empty then."""
    stops = {Path(results), *([Path(logs)] if logs is not None else [])}
    for one in found:
        if one.path.is_dir():
            # Killed in the middle, a folder must not be left under its name: it would be taken for whole.
            aside = (
                one.path if one.path.name.endswith(_PRUNED) else one.path.with_name(one.path.name + _PRUNED)
            )
            one.path.rename(aside)
            shutil.rmtree(aside)
        else:
            one.path.unlink()
        _remove_empty(one.path.parent, stops)


def _remove_empty(folder: Path, stops: set[Path]) -> None:
    with suppress(OSError):
        while folder not in stops:
            folder.rmdir()
            folder = folder.parent


def _size(path: Path) -> int:
    if not path.is_dir():
        return _freed(path.lstat())
    return sum(_freed(Path(place, name).lstat()) for place, _, files in os.walk(path) for name in files)


def _freed(status: os.stat_result) -> int:
    return status.st_size if status.st_nlink == 1 else 0


def _stale_logs(logs: Path, keys: set[str], studies: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(logs):
        folders.sort()
        for path in (Path(place, name) for name in sorted(files)):
            ours = path.suffix in (".log", ".tsv") and not path.is_symlink()
            if ours and _is_stale(path.relative_to(logs).parts, keys, studies):
                yield path


def _is_stale(parts: tuple[str, ...], keys: set[str], studies: Path) -> bool:
    if parts[0] == STUDIES and len(parts) > 2 and not (studies / parts[1]).is_dir():
        return True
    # logs/<data set>/<rule>/, logs/sparse/<images>/<rule>/: what else lies there is not ours.
    rule = parts[2:3] if parts[0] == SPARSE else parts[1:2]
    if parts[0] != STUDIES and not _LOGGED.intersection(rule):
        return False
    own = set(_KEY_IN_NAME.findall("/".join(parts)))
    return bool(own) and not own & keys
