"""Content addresses: a key names what a file was made from, so that a path is also a cache entry."""

import hashlib
import json
import re
from functools import cache
from pathlib import Path

import lorascope

PACKAGE = "lorascope"
KEY_DIGITS = 10
_ROOT = Path(lorascope.__file__).parent
# Every plan reads the imports of every step, and syntax trees take a second; a test compares with them.
_IMPORT = re.compile(rf"^\s*(?:from|import) ({PACKAGE}[\w.]*)(?: import (\([^)]*\)|.*))?", re.MULTILINE)


def canonical_json(value: object) -> str:
    """Return JSON that is the same for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def key_of(*parts: object) -> str:
    """Return the 10-digit key of upstream keys, settings and code digests."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:KEY_DIGITS]


@cache
def code_digest(*modules: str) -> str:
    """Return a digest of the sources of ``modules`` and of all that they import from this package.

    The imports are read from the text, also those inside functions; what is imported by a computed name
    (a representation from the registry) does not count and must be named by the caller.
    """
    sources = {name: _source(name) for name in _closure(modules)}
    return key_of(sorted((name, hashlib.sha256(source).hexdigest()) for name, source in sources.items()))


def file_digest(name: str) -> str:
    """Return a digest of a data file of this package, named by its path inside the package."""
    return hashlib.sha256((_ROOT / name).read_bytes()).hexdigest()


def folder_digest(name: str) -> str:
    """Return a digest of all data files in a folder of this package."""
    files = sorted(path.relative_to(_ROOT).as_posix() for path in (_ROOT / name).iterdir() if path.is_file())
    return key_of([(file, file_digest(file)) for file in files])


def _closure(modules: tuple[str, ...]) -> set[str]:
    found, queue = set(), list(modules)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue.extend(_imports(name))
    return found


def _path(module: str) -> Path | None:
    """Return the file of a module of this package, or None if there is no such module."""
    stem = _ROOT.joinpath(*module.split(".")[1:])
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _source(module: str) -> bytes:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(module)
    return path.read_bytes()


@cache
def _imports(module: str) -> frozenset[str]:
    names = set()
    for start, rest in _IMPORT.findall(_source(module).decode()):
        names.add(start)
        names.update(f"{start}.{name}" for name in re.findall(r"\w+", rest))
    return frozenset(name for name in names if _path(name))
