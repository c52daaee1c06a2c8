"""Named studies below a results folder: which there are, and what people mean by a name or a path."""

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorascope.errors import LorascopeError

# Below the results folder: what bears a study's name; beside it lies what studies share.
STUDIES, SPARSE, SCALING = "studies", "sparse", "scaling"
SUMMARY_FILE, COMPARISON_FILE = "summary/results.json", "comparison/comparison.json"
RESULTS = "results"
# Where results.json lies, seen from what people point at: its folder, the study's folder, the report.
PLACES = (".", "summary", "../summary")


@dataclass(frozen=True)
class Part:
    """What one study found on one data set, or on the images of sparse training.

    Attributes:
        study, name: such as ``default`` and ``zoo``, or ``sparse/digits``.
        folder: where its tables and its page lie.
    """

    study: str
    name: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.study}/{self.name}"

    @property
    def results(self) -> Path:
        """The file that is there once the part has results."""
        return self.folder / (COMPARISON_FILE if self.is_sparse else SUMMARY_FILE)

    @property
    def page(self) -> Path:
        """The page."""
        return self.folder / "report" / "index.html"

    @property
    def is_sparse(self) -> bool:
        """Whether this is a comparison of gates."""
        return self.name.startswith(f"{SPARSE}/")


def parts(results: str | Path) -> Iterator[Part]:
    """Yield all parts of all studies below a results folder, finished or not, by name."""
    for study in _folders(Path(results, STUDIES)):
        for folder in _folders(study):
            if folder.name == SPARSE:
                yield from (Part(study.name, f"{SPARSE}/{own.name}", own) for own in _folders(folder))
            elif folder.name != SCALING:
                yield Part(study.name, folder.name, folder)


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def find_summary(wanted: str | Path, results: str | Path = RESULTS) -> Path:
    """Return the summary folder of one data set of a study.

    Args:
        wanted: NAME or NAME/DATASET of a study below ``results``; or a path: results.json, the folder it lies
            in, the folder of the study, of one of its data sets, or of its page.
        results: where named studies lie.

    Raises:
        LorascopeError: there is no such study, it has several data sets, or no results.
    """
    every = list(parts(results))
    named = [part for part in every if str(wanted) in (part.study, str(part))]
    known, own = ([part for part in some if not part.is_sparse] for some in (every, named))
    if named and not own:
        raise LorascopeError(f"study '{wanted}' compares gates and has no data set; see {named[0].page}")
    if not own and (folder := _at_path(Path(wanted))):
        return folder
    return _only(own, wanted, known, results).results.parent


def _at_path(place: Path) -> Path | None:
    folder, name = (place.parent, place.name) if place.is_file() else (place, "results.json")
    for step in PLACES:
        if name == "results.json" and (folder / step / name).is_file():
            return Path(os.path.normpath(folder / step))
    found = [own / "summary" for own in _folders(folder) if (own / SUMMARY_FILE).is_file()]
    if len(found) > 1:
        raise LorascopeError(f"{place}: {len(found)} data sets; give one, such as {found[0].parent}")
    return found[0] if found else None


def study_folders(results: str | Path, name: str | None = None) -> list[Path]:
    """Return the folders of the studies below a results folder, or of the one of that name.

    Raises:
        LorascopeError: there is none, or none of that name.
    """
    place = Path(results, STUDIES)
    found = _folders(place)
    if not found:
        raise LorascopeError(
            f"no study here: nothing lies in {place.absolute()}; go to the folder of a study, "
            "or start one with `snakemake --cores all`"
        )
    names = [folder.name for folder in found]
    if name is not None and name not in names:
        raise LorascopeError(_unknown(name, place, names, names))
    return found if name is None else [place / name]


def _unknown(wanted: str, place: Path, names: Sequence[str], listed: Sequence[str]) -> str:
    close = difflib.get_close_matches(wanted, names, 1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(listed)}"
    return f"no study '{wanted}' in {place}; {hint}"


def _only(own: Sequence[Part], wanted: str | Path, known: Sequence[Part], results: str | Path) -> Part:
    if not own and Path(wanted).exists():
        raise LorascopeError(
            f"{wanted}: no results of a study here (no results.json); give a study's name or folder"
        )
    if not own:
        study_folders(results)
        names = [*(part.study for part in known), *map(str, known)]
        raise LorascopeError(_unknown(str(wanted), Path(results, STUDIES), names, list(map(str, known))))
    done = [part for part in own if part.results.is_file()]
    if not done:
        raise LorascopeError(
            f"study '{wanted}' has no results yet; run snakemake with study={own[0].study} and its settings"
        )
    if len(done) > 1:
        named = ", ".join(map(str, done))
        raise LorascopeError(f"study '{wanted}' has {len(done)} data sets; name one: {named}")
    return done[0]
