"""What lies in a store: entries with their sizes and settings, and which of them are damaged."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lorascope.errors import LorascopeError
from lorascope.store.entry import (
    DAMAGED_SUFFIX,
    MANIFEST,
    Address,
    DamagedEntryError,
    address_of,
    read_manifest,
)
from lorascope.store.places import Place, StoredFile

# Enough that waiting for a bucket's answers overlaps.
_READERS = 16


@dataclass(frozen=True)
class Entry:
    """An entry's folder.

    Attributes:
        address: its address.
        files: all files in the folder.
        manifest: what it says about itself; None where it is not whole (yet), or the manifest is damaged.
        damage: one line where the manifest is damaged.
    """

    address: Address
    files: tuple[StoredFile, ...]
    manifest: dict | None
    damage: str = ""

    @property
    def is_published(self) -> bool:
        """Whether there is a manifest."""
        return any(file.name == self.address.manifest for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    @property
    def modified(self) -> float:
        """When it was published; of one that is not, when its newest file was written."""
        # Only the manifest: the features themselves may be hard links, whose time changes with the study's.
        times = [file.modified for file in self.files if file.name == self.address.manifest]
        return times[0] if times else max(file.modified for file in self.files)


def entries(place: Place) -> list[Entry]:
    """Return all entries of a store, whole or not, by address.

    Raises:
        LorascopeError: the store cannot be read.
    """
    try:
        folders: dict[str, list[StoredFile]] = {}
        for file in place.files():
            folders.setdefault(file.name.rpartition("/")[0], []).append(file)
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(lambda folder: _entry(place, folder, folders[folder]), sorted(folders))
            return list(found)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise LorascopeError(f"{place}: cannot be read ({reason})") from None


def _entry(place: Place, folder: str, files: Iterable[StoredFile]) -> Entry:
    address, files = address_of(folder), tuple(files)
    content = (
        place.read(address.manifest) if any(file.name.endswith(f"/{MANIFEST}") for file in files) else None
    )
    if content is None:
        return Entry(address, files, None)
    try:
        return Entry(address, files, read_manifest(content, address))
    except DamagedEntryError as error:
        return Entry(address, files, None, str(error))


def damages(place: Place, found: Iterable[Entry]) -> Iterator[str]:
    """Yield one line for each entry that is not what was published: every file is read and digested."""
    with ThreadPoolExecutor(_READERS) as pool:
        for damage in pool.map(lambda entry: _damage(place, entry), found):
            if damage:
                yield f"{place}/{damage}"


def _damage(place: Place, entry: Entry) -> str:
    if entry.manifest is None:
        return entry.damage
    for name, file in entry.manifest["files"].items():
        try:
            digest = place.digest(entry.address.object(file["sha256"]))
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "is missing" if missing else f"cannot be read ({str(error).splitlines()[0]})"
            return f"{entry.address.folder}: {name} {reason}"
        if digest != file["sha256"]:
            return f"{entry.address.folder}: {name} is not what was published (sha256 {digest[:10]}…)"
    return ""


def is_rest(file: StoredFile, entry: Entry) -> bool:
    """Return whether a file belongs to no whole entry: what was put aside, or left by a killed run."""
    if not entry.is_published:
        return True
    if entry.manifest is None:
        return file.name.endswith(DAMAGED_SUFFIX)  # the next run that wants the entry puts aside the others
    own = {entry.address.object(part["sha256"]) for part in entry.manifest["files"].values()}
    return file.name not in own | {entry.address.manifest}
