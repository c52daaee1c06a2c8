"""Which intermediates a named study is made of: written when a run starts, read before anything is pruned."""

from collections.abc import Callable, Iterable
from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.files import read_json, write_json
from lorascope.study.intermediates import name_of, owner_of
from lorascope.study.named import Part, parts

RECORD_FILE = "files.json"


def record_files(
    named: str | Path, results: str | Path, outputs: Iterable[str], key_of: Callable[[str], str]
) -> None:
    """Write down, data set by data set, what a run is going to make or to use.

    Before the first job and not at the end, so that what a run that goes on, or was killed, has made is not
    taken for what no study needs.

    Args:
        named: the folder that bears the study's name.
        results: the results folder.
        outputs: all files of the run, those that are there already too.
        key_of: returns the key of the tables and the page of a data set, or of ``sparse/<images>``.
    """
    results, found = Path(results), {}
    for path in map(Path, outputs):
        if path.is_relative_to(results) and (name := name_of(path.relative_to(results))):
            found.setdefault(owner_of(name), set()).add(name)
    for owner, names in found.items():
        folder = Path(named, owner)
        study = folder.relative_to(results).parts[1]
        _add(Part(study, owner, folder), key_of(owner), names)


def _add(part: Part, key: str, names: set[str]) -> None:
    # One target of a study after another: together they are the study. Of other settings, only those whose
    # tables and page are still there.
    made_of = _standing(part, {**_read(part), "latest": key})
    value = {"latest": key, "made_of": {**made_of, key: sorted({*names, *made_of.get(key, ())})}}
    write_json(part.folder / RECORD_FILE, value)


def needed(results: str | Path) -> set[str]:
    """Return the names of all intermediates that named studies refer to.

    Raises:
        LorascopeError: a study does not say, or not legibly, what it is made of.
    """
    names = set()
    for part in parts(results):
        record = _read(part)
        if not record and any(path.exists() for path in (part.results, part.page, part.folder / ".study")):
            raise LorascopeError(
                f"study {part} does not say what it is made of (no {part.folder / RECORD_FILE}); "
                "run it again, or remove its folder"
            )
        names.update(*_standing(part, record).values())
    return names


def keys_of_records(results: str | Path) -> set[str]:
    """Return the keys of the tables and pages that :func:`needed` goes by."""
    return {key for part in parts(results) for key in _standing(part, _read(part))}


def _read(part: Part) -> dict:
    path = part.folder / RECORD_FILE
    return read_json(path) if path.exists() else {}


def _standing(part: Part, record: dict) -> dict[str, list[str]]:
    """Return key → intermediates of the latest run, and of the tables and the page that are there."""
    made_of = record.get("made_of", {})
    try:
        standing = {record.get("latest"), _key_of_results(part)}
    except LorascopeError:
        # Damaged: it could be any of them.
        return made_of
    return {key: names for key, names in made_of.items() if key in standing}


def _key_of_results(part: Part) -> str | None:
    if not part.results.exists():
        return None
    results = read_json(part.results)
    return results["provenance"]["key"] if part.is_sparse else results["keys"].get("study")
