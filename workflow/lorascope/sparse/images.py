"""Prepared images: arrays in a folder that training opens without reading them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lorascope.errors import LorascopeError
from lorascope.files import read_json

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
        LorascopeError: a file is missing or damaged.
    """
    folder = Path(folder)
    about = read_json(folder / "manifest.json")
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        classes, parts = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("labels", "parts"))
        return Images(images, classes, parts, about["classes"], about["mean"], about["std"])
    except (OSError, ValueError, KeyError) as error:
        raise LorascopeError(f"{folder}: no prepared images ({error}); delete it and run again") from None
