"""Prepared images: arrays in a folder that training opens without reading them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lorascope.data.inputs import IMAGES, check_inputs
from lorascope.digests import digest_of
from lorascope.errors import DamagedFileError
from lorascope.files import content_is_wrong, read_json

TRAIN, VALIDATION, TEST = 0, 1, 2


class Images(NamedTuple):
    """Images of all parts of the split.

    Attributes:
        images: [n, side, side, channels] uint8, memory-mapped.
        classes: [n] int64.
        parts: [n] int8: 0 train, 1 validation, 2 test.
        class_names: names of the classes.
        mean, std: of each channel over the training part, on a scale of 0 to 1.
    """

    images: np.ndarray
    classes: np.ndarray
    parts: np.ndarray
    class_names: list[str]
    mean: list[float]
    std: list[float]


def open_images(folder: str | Path) -> Images:
    """Open what ``lorascope sparse-images`` wrote.

    Raises:
        DamagedFileError: a file is not what the manifest says.
        LorascopeError: there are no prepared images, or the files that they were made of have changed in a
            way that no key shows.
    """
    folder = Path(folder)
    check_inputs(folder, IMAGES)
    about = read_json(folder / "manifest.json")
    names, digests = ("images", "labels", "parts"), about.get("digests", {})
    arrays = (_open_array(folder / f"{name}.npy", digests.get(name)) for name in names)
    return Images(*arrays, about["classes"], about["mean"], about["std"])


def _open_array(path: Path, digest: str | None) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        if not content_is_wrong(error):
            raise
        raise DamagedFileError(path, f"not readable ({error})", path.parent) from None
    if digest is not None and digest_of(array) != digest:
        raise DamagedFileError(path, "its content is not what its digest says", path.parent)
    return array
