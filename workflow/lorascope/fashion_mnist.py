"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747) from its four gzipped idx files."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from lorascope.errors import LorascopeError

# Where Debian's dataset-fashion-mnist puts them.
FASHION_FOLDER = "/usr/share/datasets/fashion-mnist"
GARMENTS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
TRAIN_FILES, TEST_FILES = "train", "t10k"
SIDE = 28


def read_fashion(folder: str | Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one part: 60,000 images (``train``) or 10,000 (``t10k``).

    Returns:
        pixels [n, 28, 28] uint8, and the numbers [n] uint8 of their ``GARMENTS``.

    Raises:
        LorascopeError: a file is missing or damaged.
    """
    pixels = read_idx(Path(folder, f"{part}-images-idx3-ubyte.gz"))
    targets = read_idx(Path(folder, f"{part}-labels-idx1-ubyte.gz"))
    if pixels.shape != (len(targets), SIDE, SIDE) or targets.max() >= len(GARMENTS):
        raise LorascopeError(
            f"{folder}: images {pixels.shape} and labels {targets.shape} are not Fashion-MNIST's"
        )
    return pixels, targets


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped idx file of bytes: 0x00 0x00 0x08 and the rank, the big-endian sizes, the values.

    Raises:
        LorascopeError: the file is missing or damaged.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise LorascopeError(
            f"{path}: no such file; install Debian's dataset-fashion-mnist or name the folder that holds it"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise LorascopeError(f"{path}: not a gzipped idx file ({error}); fetch it again") from None
    rank = content[3] if content[:3] == b"\x00\x00\x08" else 0
    sizes = struct.unpack_from(f">{rank}I", content, 4) if len(content) >= 4 + 4 * rank else ()
    if not sizes or len(content) != 4 + 4 * rank + np.prod(sizes):
        raise LorascopeError(f"{path}: not an idx file of bytes, or cut short; fetch it again")
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank).reshape(sizes)
