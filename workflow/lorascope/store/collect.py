"""Remove from a store what no study refers to."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from lorascope.errors import LorascopeError
from lorascope.store.inventory import Entry, is_rest
from lorascope.store.places import Place, StoredFile


@dataclass(frozen=True)
class Removal:
    """Files of one entry that nobody needs.

    Attributes:
        entry: what was found.
        files: what to remove, the manifest first: without it the entry is gone, whatever else is left.
        why: for people.
    """

    entry: Entry
    files: tuple[StoredFile, ...]
    why: str

    @property
    def size(self) -> int:
        """Bytes that it frees, unless a study's results hold a link to them."""
        return sum(file.size for file in self.files)


def removable(found: Iterable[Entry], keys: Collection[str], before: float) -> Iterator[Removal]:
    """Yield what can go.

    Args:
        found: all entries of a store.
        keys: the keys of features that studies refer to.
        before: what was written later (seconds since 1970) is spared: a run may be at it.
    """
    for entry in found:
        if entry.address.key in keys:
            files, why = (
                [file for file in entry.files if is_rest(file, entry)],
                "left by a damaged or lost run",
            )
            files = [file for file in files if file.modified < before]
        else:
            files, why = list(entry.files) if entry.modified < before else [], "no study refers to it"
        if files:
            files.sort(key=lambda file: file.name != entry.address.manifest)
            yield Removal(entry, tuple(files), why)


def remove(place: Place, removal: Removal) -> bool:
    """Remove some files of an entry; return False, and do nothing, if a run is, or was meanwhile, at it.

    Raises:
        LorascopeError: the store cannot be written.
    """
    folder = removal.entry.address.folder
    try:
        with place.lock(folder, None) as held:
            as_found = held and set(place.files(folder)) == set(removal.entry.files)
            if as_found:
                place.remove([file.name for file in removal.files])
            return as_found
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise LorascopeError(f"{place}/{folder}: cannot be removed ({reason})") from None
