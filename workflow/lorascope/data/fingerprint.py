"""What identifies a folder of data without reading all of it, and is not changed by a `touch`."""

import hashlib
from pathlib import Path

from lorascope.errors import LorascopeError

BLOCK = 4096
BLOCKS_INSIDE = 3


def file_fingerprint(path: Path) -> str:
    """Return a digest of the file's size, head, tail and a few blocks in between."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    positions = [size * step // (BLOCKS_INSIDE + 1) for step in range(BLOCKS_INSIDE + 1)] + [
        max(0, size - BLOCK)
    ]
    with path.open("rb") as opened:
        for position in positions:
            opened.seek(position)
            digest.update(opened.read(BLOCK))
    return digest.hexdigest()


def folder_fingerprint(folder: str | Path) -> str:
    """Return a digest of the names, sizes and sampled content of all files below ``folder``.

    Times do not count. A change that keeps the size and misses the sampled blocks is not seen here:
    the full digests in the manifest are there for that.

    Raises:
        LorascopeError: the folder is missing or empty.
    """
    root = Path(folder)
    if not root.is_dir():
        raise LorascopeError(f"{folder}: no such folder")
    # Hidden files are lock and cache droppings of loaders, not data.
    files = sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    if not files:
        raise LorascopeError(f"{folder}: the folder is empty")
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root).as_posix()}\0{file_fingerprint(path)}\n".encode())
    return digest.hexdigest()
