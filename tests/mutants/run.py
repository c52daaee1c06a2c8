"""Change one expression at a time and see whether a test notices: `make mutants`.

Fifty changes are drawn from the modules that make the numbers, the same ones every time as long as the
functions that hold them stay as they are. Survivors stand in docs/testing.md, each with the reason why no
test can, or need, tell it from the original. A survivor that does not, or one that is there and dies, ends
in exit code 1.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mutate import Mutant, mutants

ROOT = Path(__file__).parents[2]
PACKAGE = Path("workflow", "lorascope")
DOCUMENT = ROOT / "docs" / "testing.md"
FOLDERS = ("stats", "probes", "gates", "features")
# How many imports may lie between a test and the module that it is to hold, and how many files are tried.
FARTHEST, MOST_FILES = 2, 6
SECONDS = 900
_ROW = re.compile(r"^\| `(?P<name>.+?)` \| (?P<reason>.+?) \|$", re.MULTILINE)


def main() -> int:
    """Run the drawn mutants; return 1 where the list of survivors is not what the document says."""
    options = _options()
    drawn = draw(options.number, options.folders)
    expected = {_unescaped(found["name"]) for found in _ROW.finditer(DOCUMENT.read_text())}
    survivors = set()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = _copy(Path(folder))
        tests = tests_by_module({mutant.module for mutant in drawn})
        if failed := _failing(copy, sorted({test for found in tests.values() for test in found})):
            print(f"tests fail before anything is changed; see to them first: {failed}")
            return 1
        for number, mutant in enumerate(drawn, 1):
            killer = _killer(copy, mutant, tests[mutant.module])
            print(f"{number}/{len(drawn)} {mutant.name}: {killer or 'SURVIVES'}", flush=True)
            if not killer:
                survivors.add(mutant.name)
    new = survivors - expected
    dead = {mutant.name for mutant in drawn} & expected - survivors
    print(f"{len(drawn) - len(survivors)} of {len(drawn)} mutants are killed.")
    for name in sorted(new):
        print(f"survives, without a reason in {DOCUMENT.name}: {name}")
    for name in sorted(dead):
        print(f"is killed, but listed as a survivor in {DOCUMENT.name}: {name}")
    return bool(new or dead)


def _unescaped(cell: str) -> str:
    """Return what a cell of a Markdown table says, where a bar would end the cell."""
    return cell.replace("\\|", "|")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=50, help="how many mutants")
    parser.add_argument("--folders", nargs="+", default=FOLDERS, help="folders of the package to change")
    return parser.parse_args()


def draw(number: int, folders: tuple[str, ...]) -> list[Mutant]:
    """Return as many mutants of each folder, those of the smallest lots, in the order of their names."""
    drawn = []
    for position, folder in enumerate(folders):
        share = number // len(folders) + (position < number % len(folders))
        found = [
            mutant
            for path in sorted((ROOT / PACKAGE / folder).rglob("*.py"))
            for mutant in mutants(path.relative_to(ROOT / PACKAGE).as_posix(), path.read_text())
        ]
        drawn += sorted(found, key=lambda mutant: mutant.lot)[:share]
    return sorted(drawn, key=lambda mutant: mutant.name)


def tests_by_module(modules: set[str]) -> dict[str, list[str]]:
    """Return module → the test files that reach it over few imports, the nearest first.

    Among equally near ones those that share more words with the module's name come first.
    """
    nearest: dict[str, dict[str, int]] = {module: {} for module in modules}
    for test in sorted((ROOT / "tests").glob("test_*.py")):
        for module, distance in _reached(test):
            if module in nearest:
                nearest[module].setdefault(test.relative_to(ROOT).as_posix(), distance)
    return {
        module: sorted(found, key=lambda test: (found[test], -_words_in_common(module, test)))[:MOST_FILES]
        for module, found in nearest.items()
    }


def _words_in_common(module: str, test: str) -> int:
    return len(set(re.findall("[a-z]+", module)) & set(re.findall("[a-z]+", test)))


def _reached(test: Path) -> Iterator[tuple[str, int]]:
    """Yield the modules of the package behind a test file, with the number of imports between."""
    seen, front = set(), [test]
    for distance in range(FARTHEST + 1):
        found = {path for file in front for path in _imported(file)} - seen
        yield from ((path.relative_to(ROOT / PACKAGE).as_posix(), distance) for path in sorted(found))
        seen |= found
        front = sorted(found)


def _imported(file: Path) -> Iterator[Path]:
    """Yield the files of the package that a file imports, by way of the tests' helpers too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from _files(node.module)
            for alias in node.names:
                yield from _files(f"{node.module}.{alias.name}")
                yield from _folder(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(alias.name)


def _files(name: str) -> Iterator[Path]:
    first, *rest = name.split(".")
    path = (ROOT / PACKAGE).joinpath(*rest).with_suffix(".py")
    if first == "lorascope" and rest and path.is_file():
        yield path
    elif (helper := ROOT / "tests" / f"{first}.py").is_file():
        yield from _imported(helper)


def _folder(name: str) -> Iterator[Path]:
    """Yield the modules of a folder that is imported as a whole: a registry loads them by their names."""
    first, *rest = name.split(".")
    if first == "lorascope" and rest:
        yield from (ROOT / PACKAGE).joinpath(*rest).glob("*.py")


def _copy(folder: Path) -> Path:
    """Copy what tests need: the copy alone is changed, so that no mutant stays behind at whatever end."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in tracked.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def _killer(copy: Path, mutant: Mutant, tests: list[str]) -> str:
    """Return the test that fails with a change; empty where none does."""
    path = copy / PACKAGE / mutant.module
    text = path.read_text()
    path.write_text(mutant.applied(text))
    try:
        return _failing(copy, tests)
    finally:
        path.write_text(text)


def _failing(copy: Path, tests: list[str]) -> str:
    """Return the first test that fails, or what else went wrong; empty where all pass."""
    if not tests:
        return ""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy / "workflow"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS} s"
    if run.returncode == 0:
        return ""
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    return failed[0] if failed else f"pytest ended with {run.returncode}"


if __name__ == "__main__":
    sys.exit(main())
