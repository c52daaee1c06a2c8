"""What a module's code says: a digest of its syntax tree, and which modules it imports.

Comments, docstrings, blank lines and how statements are laid out are no part of the tree. Nor is the version
of Python: 3.11 to 3.13 build the same trees, so that their keys are the same.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path


def read_module(path: Path) -> tuple[str, frozenset[str]]:
    """Return the digest of a module's code and the full names that it imports, also inside functions.

    ``from a import b`` imports ``a`` and, where that is a module, ``a.b``. Every plan asks this of all
    modules, and trees take a tenth of its time: they are kept where Python keeps its bytecode, under
    the digest of the source, which they are never read without.
    """
    source = path.read_bytes()
    name = hashlib.sha256(source).hexdigest()
    kept = Path(cache_from_source(path)).with_suffix(".tree")
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(kept.read_bytes())
        if found["source"] == name:
            return found["digest"], frozenset(found["imports"])
    words: list[str] = []
    modules: set[str] = set()
    _read(ast.parse(source), words.append, modules.add)
    digest = hashlib.sha256(" ".join(words).encode()).hexdigest()
    if not sys.dont_write_bytecode:
        _keep(kept, json.dumps({"source": name, "digest": digest, "imports": sorted(modules)}))
    return digest, frozenset(modules)


def _keep(path: Path, text: str) -> None:
    # Not flushed to the disk: what a crash cuts short is no JSON, and made again.
    temp = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        temp.write_text(text)
        temp.replace(path)


def _read(node: ast.AST, say: Callable[[str], None], need: Callable[[str], None]) -> None:
    """Say a node in words, and which modules it needs. ``ast.dump`` differs between versions of Python."""
    kind = node.__class__
    if kind is ast.Import or kind is ast.ImportFrom:
        _read_import(node, need)
    say(kind.__name__)
    fields = node.__dict__
    for name in node._fields:
        value = fields.get(name)
        # What a new version of Python adds to a node is a list that is empty in older code.
        if value is None or value == []:
            continue
        say(name)
        if isinstance(value, ast.AST):
            _read(value, say, need)
        elif isinstance(value, list):
            for item in value:
                if not isinstance(item, ast.AST):
                    say(ascii(item))
                elif not _is_text(item):
                    _read(item, say, need)
            say("]")
        else:
            # Which characters `repr` shows depends on the version of Unicode.
            say(ascii(value))
    say(")")


def _read_import(node: ast.Import | ast.ImportFrom, need: Callable[[str], None]) -> None:
    start = getattr(node, "module", None)
    if start:
        need(start)
    for alias in node.names:
        need(f"{start}.{alias.name}" if start else alias.name)


def _is_text(node: ast.AST) -> bool:
    """Tell whether a statement is text alone: a docstring, or what stands as one below a constant."""
    return (
        node.__class__ is ast.Expr
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
