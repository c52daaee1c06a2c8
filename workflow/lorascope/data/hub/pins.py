"""Pins: the commit of the hub that a data set of a study is, kept beside its results with files and columns.

The hub is asked when a data set is first planned; from then on the pin counts.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lorascope.data.hub.client import COMMIT, HubFile, look_up
from lorascope.errors import LorascopeError
from lorascope.files import read_json, write_json

PIN_FILE = "pin.json"


@dataclass(frozen=True)
class Pin:
    """What is known of a data set on the hub.

    Attributes:
        path, revision, split: what the settings say; no split stands for all (images).
        commit: what the revision was when it was pinned.
        pinned: when that was.
        endpoint: the hub that was asked.
        files: what is downloaded.
        columns: columns without weights → their type.
        matrices: columns of weights → (rows, columns) where the schema says so, else nothing.
    """

    path: str
    revision: str | None
    split: str | None
    commit: str
    pinned: str
    endpoint: str
    files: tuple[HubFile, ...]
    columns: dict[str, str]
    matrices: dict[str, list[int]]

    @property
    def size(self) -> int:
        """Return how many bytes are downloaded."""
        return sum(file.size for file in self.files)


def is_on_hub(settings: dict) -> bool:
    """Return whether settings mean a data set on the hub, and not a folder in its layout."""
    return settings["source"] == "hub" and not Path(settings["path"]).is_dir()


def pin_of(settings: dict, folder: str | Path) -> Pin:
    """Return the pin of a data set; where there is none for these settings, ask the hub and keep it.

    Args:
        settings: an entry of ``datasets``, or ``sparse.images``.
        folder: the data set's folder of results.

    Raises:
        LorascopeError: the hub does not tell, the data set's columns cannot be used, or the pin is damaged
            or cannot be written.
    """
    known = read_pin(folder)
    if known and (known.path, known.revision) == (settings["path"], settings["revision"]):
        if known.split == settings.get("hub_split"):
            return known
        return _kept(make_pin(settings, known.commit), folder)
    return _kept(make_pin(settings), folder)


def move_pin(settings: dict, folder: str | Path) -> tuple[Pin | None, Pin]:
    """Pin what a data set's revision is now; return the pin before, if any, and the new one.

    Raises:
        LorascopeError: as :func:`pin_of`, or the settings name a commit, which cannot move.
    """
    if COMMIT.match(settings["revision"] or ""):
        raise LorascopeError(
            f"{settings['path']}: `revision` is a commit, which does not move; change it in the config"
        )
    known, new = read_pin(folder), make_pin(settings)
    if known and replace(new, pinned=known.pinned) == known:
        return known, known
    return known, _kept(new, folder)


def read_pin(folder: str | Path) -> Pin | None:
    """Return the pin in a folder; None where there is none.

    Raises:
        DamagedFileError: it cannot be read.
    """
    file = Path(folder, PIN_FILE)
    if not file.exists():
        return None
    stored = read_json(file)
    return Pin(**{**stored, "files": tuple(HubFile(**entry) for entry in stored["files"])})


def make_pin(settings: dict, commit: str | None = None) -> Pin:
    """Ask the hub what a data set is, at a commit or at the revision of the settings.

    Raises:
        LorascopeError: the hub does not tell, or the data set's columns cannot be used.
    """
    from huggingface_hub import constants

    from lorascope.data.hub.schema import look_at_columns, wanted_files

    path, split = settings["path"], settings.get("hub_split")
    listing = look_up(path, commit or settings["revision"])
    files = wanted_files(listing.files, split, path)
    columns, matrices = look_at_columns(path, listing.commit, files, has_weights=split is not None)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Pin(
        path, settings["revision"], split, listing.commit, now, constants.ENDPOINT, files, columns, matrices
    )


def _kept(pin: Pin, folder: str | Path) -> Pin:
    file = Path(folder, PIN_FILE)
    stored = {**asdict(pin), "files": [entry._asdict() for entry in pin.files]}
    try:
        write_json(file, stored)
    except OSError as error:
        raise LorascopeError(f"{file}: {error.strerror}; the commit must be kept there") from None
    return pin
