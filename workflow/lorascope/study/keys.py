"""Content addresses: a key names what a file was made from, so that a path is also a cache entry."""

import hashlib
import json
from functools import cache
from pathlib import Path

import lorascope
from lorascope.study.code import read_module

PACKAGE = "lorascope"
KEY_DIGITS = 10
_ROOT = Path(lorascope.__file__).parent


def canonical_json(value: object) -> str:
    """Return JSON that is the same for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def key_of(*parts: object) -> str:
    """Return the 10-digit key of upstream keys, settings and code digests."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:KEY_DIGITS]


@cache
def code_digest(*parts: str) -> str:
    """Return a digest of modules, of all that they import from this package, and of data files.

    Imports inside functions count; what is imported by a computed name (a representation from the registry)
    does not and must be named by the caller.

    Args:
        parts: full names of modules; data files, and folders of them, as paths inside the package.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    files = [part for part in parts if "/" in part]
    modules = _closure(tuple(part for part in parts if part not in files))
    digests = [(name, _module(name)[0]) for name in modules]
    return key_of(sorted([*digests, *((file, _data_digest(file)) for file in files)]))


def _data_digest(name: str) -> str:
    path = _ROOT / name
    if path.is_dir():
        return key_of(sorted((file.name, _file_digest(file)) for file in path.iterdir() if file.is_file()))
    return _file_digest(path)


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _closure(modules: tuple[str, ...]) -> set[str]:
    found, queue = set(), list(modules)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue.extend(_imports(name))
    return found


@cache
def _path(module: str) -> Path | None:
    """Return the file of a module of this package, or None if there is no such module."""
    stem = _ROOT.joinpath(*module.split(".")[1:])
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    path = _path(name)
    if path is None:
        raise ModuleNotFoundError(name)
    return read_module(path)


@cache
def _imports(module: str) -> frozenset[str]:
    ours = (name for name in _module(module)[1] if name.split(".")[0] == PACKAGE)
    return frozenset(name for name in ours if _path(name))
