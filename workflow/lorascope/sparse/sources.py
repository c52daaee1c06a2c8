"""Where images come from: installed packages (digits, fashion), or any image data set (hub, disk)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lorascope.data.fingerprint import SourceFile, folder_files
from lorascope.data.sources import source_files
from lorascope.errors import LorascopeError
from lorascope.fashion_mnist import GARMENTS, TEST_FILES, TRAIN_FILES, read_fashion
from lorascope.sparse.images import TEST, TRAIN

GREY_LEVELS = 16


class SourceImages(NamedTuple):
    """Images as their source has them.

    Attributes:
        images: [n, side, side, channels] uint8.
        classes: [n] int64.
        class_names: names of the classes.
        parts: [n] int8, as in :class:`lorascope.sparse.images.Images`, as far as the source has its own.
    """

    images: np.ndarray
    classes: np.ndarray
    class_names: list[str]
    parts: np.ndarray


def read_source(settings: dict, downloaded: str | Path | None = None) -> SourceImages:
    """Read the images that ``settings`` (``sparse.images`` of the config) name.

    Args:
        settings: complete.
        downloaded: what ``lorascope download`` wrote, for a data set on the hub.

    Raises:
        LorascopeError: the source cannot be read, or holds no images with classes.
    """
    source = settings["source"]
    if source == "digits":
        return _digits()
    if source == "fashion":
        return _fashion(settings["path"])
    from lorascope.sparse.datasets_images import read_dataset  # brings `datasets`

    return read_dataset(settings, downloaded)


def image_files(settings: dict) -> dict[str, SourceFile]:
    """Return the local files of images by name; none of an installed package or of a commit on the hub.

    Raises:
        LorascopeError: the folder is missing or empty.
    """
    path = settings["path"]
    if settings["source"] != "fashion":
        return source_files(settings)
    if not Path(path).is_dir():
        raise LorascopeError(
            f"{path}: no such folder; install Debian's dataset-fashion-mnist or name the folder that holds it"
        )
    return folder_files(path)


def _digits() -> SourceImages:
    """Scikit-learn's 1,797 digits of 8 × 8 pixels."""
    from sklearn.datasets import load_digits  # half a second that no other source needs

    digits = load_digits()
    images = np.rint(digits.images * (255 / GREY_LEVELS)).astype(np.uint8)[..., None]
    classes = digits.target.astype(np.int64)
    parts = np.full(len(classes), TRAIN, dtype=np.int8)
    return SourceImages(images, classes, [str(name) for name in digits.target_names], parts)


def _fashion(folder: str) -> SourceImages:
    """Fashion-MNIST: 60,000 images to train on and 10,000 to test, of 28 × 28 pixels."""
    read = [read_fashion(folder, files) for files in (TRAIN_FILES, TEST_FILES)]
    images, classes = (np.concatenate(arrays) for arrays in zip(*read, strict=True))
    sizes = [len(targets) for _, targets in read]
    parts = np.repeat(np.array([TRAIN, TEST], dtype=np.int8), sizes)
    return SourceImages(images[..., None], classes.astype(np.int64), list(GARMENTS), parts)


def check_classes(classes: np.ndarray, class_names: list[str], where: str) -> None:
    """Raise a LorascopeError where a class is not given or only one is."""
    unlabelled = int(((classes < 0) | (classes >= len(class_names))).sum())
    if unlabelled:
        raise LorascopeError(f"{where}: {unlabelled} images have no class; leave them out")
    if len(np.unique(classes)) < 2:
        raise LorascopeError(f"{where}: only one class; a classifier needs at least two")
