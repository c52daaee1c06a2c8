"""Compute a feature file once for all who share a store."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from lorascope.computing import recorded_versions
from lorascope.errors import LorascopeError
from lorascope.store.entry import DAMAGED_SUFFIX, Address, DamagedEntryError, read_manifest
from lorascope.store.places import Place, sha256_of

FEATURES = "features.parquet"

Say = Callable[[str], None]


def share(
    place: Place, address: Address, about: dict, compute: Callable[[], None], out: Path, say: Say
) -> None:
    """Bring a feature file from a store, or compute it and put it there for the others.

    A store that cannot be written costs the sharing and not the features: they stay in ``out``. A damaged
    entry is named, put aside and made again.

    Args:
        place: the store.
        address: where the entry lies in it.
        about: what the entry is to say about itself, as plain JSON.
        compute: writes ``out``.
        out: the feature file in the study's results.
        say: takes one line for the log.

    Raises:
        LorascopeError: the store cannot be read, or what ``compute`` raises.
    """
    if _taken(place, address, about, out, say, damage_counts=False):
        return
    with ExitStack() as held:
        try:
            waiting = _once(say, f"{place}/{address.folder}: another run computes it; waiting")
            held.enter_context(place.lock(address.folder, waiting))
            if _taken(place, address, about, out, say, damage_counts=True):
                return
        except OSError as error:
            say(_not_shared(place, address, error, out))
            compute()
            return
        compute()
        try:
            publish(place, address, about, out)
            say(f"put into the store: {place}/{address.folder}")
        except OSError as error:
            say(_not_shared(place, address, error, out))


def publish(place: Place, address: Address, about: dict, path: Path) -> None:
    """Put a feature file into a store. The manifest goes last and makes the entry whole.

    Raises:
        OSError: the store cannot be written.
    """
    with path.open("rb") as opened:
        sha256 = sha256_of(opened)
    size = path.stat().st_size
    place.publish(path, address.object(sha256))
    manifest = {
        **asdict(address),
        **about,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "bytes": size,
        "files": {FEATURES: {"sha256": sha256, "bytes": size}},
    }
    place.write(address.manifest, (json.dumps(manifest, indent=2, allow_nan=False) + "\n").encode())


def _taken(place: Place, address: Address, about: dict, out: Path, say: Say, *, damage_counts: bool) -> bool:
    """Bring an entry to ``out`` if it is there and whole; put it aside if it is not whole and that counts."""
    try:
        manifest = _take(place, address, out)
    except DamagedEntryError as error:
        if damage_counts:
            say(f"warning: {place}/{error}; put aside and computed again")
            _set_aside(place, address)
        return False
    if manifest is None:
        return False
    say(f"from the store: {place}/{address.folder}")
    others = _other_versions(recorded_versions(manifest), recorded_versions(about))
    if others:
        say(f"note: computed with {others}")
    return True


def _take(place: Place, address: Address, out: Path) -> dict | None:
    try:
        content = place.read(address.manifest)
        if content is None:
            return None
        manifest = read_manifest(content, address)
        sha256 = manifest["files"][FEATURES]["sha256"]
        if not place.take(address.object(sha256), sha256, out):
            raise DamagedEntryError(f"{address.folder}: its file is not what was published (sha256)")
    except (FileNotFoundError, KeyError):
        raise DamagedEntryError(f"{address.folder}: its file is missing") from None
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise LorascopeError(
            f"features_dir: {place} cannot be read ({reason}); see to it, or leave out features_dir"
        ) from None
    return manifest


def _set_aside(place: Place, address: Address) -> None:
    for file in place.files(address.folder):
        if not file.name.endswith(DAMAGED_SUFFIX):
            place.rename(file.name, file.name + DAMAGED_SUFFIX)


def _other_versions(there: dict, here: dict) -> str:
    """Return what computed an entry where it is not what this run computes with."""
    return ", ".join(
        f"{name} {there[name]} (here {here[name]})"
        for name in there
        if name in here and there[name] != here[name]
    )


def _not_shared(place: Place, address: Address, error: OSError, out: Path) -> str:
    reason = error.strerror or str(error).splitlines()[0]
    return f"warning: {place}/{address.folder} cannot be written ({reason}); the features are in {out} alone"


def _once(say: Say, line: str) -> Callable[[], None]:
    """Return a function that says a line the first time it is called."""
    lines = iter([line])
    return lambda: [say(text) for text in lines] and None
