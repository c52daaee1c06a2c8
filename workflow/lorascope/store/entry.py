"""One entry of a store: what it is called, and what it says about itself."""

import json
import re
from dataclasses import dataclass

from lorascope.errors import LorascopeError

MANIFEST = "manifest.json"
LOCK = ".lock"
DAMAGED_SUFFIX = ".damaged"

_FOLDER = re.compile(r"([a-z0-9_]+)/([0-9a-f]{10})/([A-Za-z0-9_.]+)\.([0-9a-f]{16})")


class DamagedEntryError(LorascopeError):
    """An entry whose manifest or files are not what was published."""


@dataclass(frozen=True, order=True)
class Address:
    """Where an entry lies in a store.

    Attributes:
        representation, key: its name, and its content address in a study.
        group: the layer group.
        content: digest of the very weights, and of the fit, that the features were computed from. A study's
            key knows them by a sample and by settings alone: enough in one folder, not between machines.
    """

    representation: str
    key: str
    group: str
    content: str

    @property
    def folder(self) -> str:
        """Its folder, relative to the store."""
        return f"{self.representation}/{self.key}/{self.group}.{self.content}"

    @property
    def manifest(self) -> str:
        """The file that is written last: where it is, the entry is whole."""
        return f"{self.folder}/{MANIFEST}"

    def object(self, sha256: str) -> str:
        """Return the name of one of its files. Named by content, a file is never overwritten by another."""
        return f"{self.folder}/{sha256}.parquet"


def address_of(folder: str) -> Address | None:
    """Return the address that a folder's name says; None for a folder that no store made."""
    found = _FOLDER.fullmatch(folder)
    return Address(*found.groups()) if found else None


def read_manifest(content: bytes, address: Address) -> dict:
    """Return what a manifest holds.

    Raises:
        DamagedEntryError: it is no manifest, or that of another entry.
    """
    try:
        manifest = json.loads(content)
        named = Address(*(manifest[name] for name in ("representation", "key", "group", "content")))
        whole = all(isinstance(file["sha256"], str) for file in manifest["files"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedEntryError(f"{address.folder}: its manifest cannot be read") from None
    if named != address or not whole or not manifest["files"]:
        raise DamagedEntryError(f"{address.folder}: its manifest is that of another entry")
    return manifest
