"""Digests by which a file tells whether it holds what was written: fast; against accidents, not forgers."""

from collections.abc import Mapping

import numpy as np
import xxhash


def running_digest() -> xxhash.xxh3_128:
    """Return a digest that takes what is written or read piece by piece (``update``, ``hexdigest``)."""
    return xxhash.xxh3_128()


def digest_of(*parts: bytes | np.ndarray) -> str:
    """Return the digest of bytes and C-contiguous arrays, one after the other."""
    digest = running_digest()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def arrays_digest(arrays: Mapping[str, np.ndarray], about: str) -> str:
    """Return the digest of named arrays, with types and shapes, and of a text about them."""
    digest = running_digest()
    digest.update(about.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape};".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()
