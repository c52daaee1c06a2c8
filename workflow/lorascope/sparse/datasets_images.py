"""Image data sets through `datasets`: CIFAR-10 and its like, from the hub or a folder."""

from pathlib import Path

import datasets
import numpy as np
from PIL import Image, ImageOps

from lorascope.data.sources.snapshot import snapshot_of
from lorascope.errors import LorascopeError
from lorascope.sparse.images import TEST, TRAIN, VALIDATION
from lorascope.sparse.sources import SourceImages, check_classes

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label")
SPLITS = {TRAIN: ("train",), VALIDATION: ("validation", "valid", "val", "dev"), TEST: ("test",)}
SAVED = ("state.json", "dataset_dict.json")


def read_dataset(settings: dict, downloaded: str | Path | None = None) -> SourceImages:
    """Read an image data set with all its splits.

    Args:
        settings: ``source`` (hub or disk), ``path``, ``revision``, ``image``, ``label``, ``side``.
        downloaded: what ``lorascope download`` wrote, for a data set on the hub.

    Raises:
        LorascopeError: it cannot be loaded, lacks a column or a train split, or its images differ in size.
    """
    where = settings["path"]
    splits = _splits(_load(settings, downloaded), where)
    first = next(iter(splits.values()))
    image = _column(first, settings["image"], IMAGE_COLUMNS, "image", where)
    label = _column(first, settings["label"], LABEL_COLUMNS, "label", where)
    images = np.concatenate([_pixels(own, image, settings["side"], where) for own in splits.values()])
    classes, class_names = _classes([own[label] for own in splits.values()], first.features[label], where)
    parts = np.repeat(np.array(list(splits), dtype=np.int8), [len(own) for own in splits.values()])
    return SourceImages(_without_grey_copies(images), classes, class_names, parts)


def _load(settings: dict, downloaded: str | Path | None) -> datasets.DatasetDict | datasets.Dataset:
    path = settings["path"]
    folder = Path(path)
    if settings["source"] == "disk" and not folder.is_dir():
        raise LorascopeError(f"{path}: no such folder")
    if settings["source"] == "hub" and not folder.is_dir():
        folder, _ = snapshot_of(path, downloaded)
    try:
        if any((folder / name).exists() for name in SAVED):
            return datasets.load_from_disk(str(folder))
        return datasets.load_dataset(str(folder))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise LorascopeError(f"{path}: cannot be loaded: {_one_line(error)}") from None


def _splits(loaded: datasets.DatasetDict | datasets.Dataset, where: str) -> dict[int, datasets.Dataset]:
    """Return part → data set, for the parts that the data set brings."""
    if isinstance(loaded, datasets.Dataset):
        loaded = {"train": loaded}
    found = {
        part: next((loaded[name] for name in names if name in loaded), None) for part, names in SPLITS.items()
    }
    found = {part: own for part, own in found.items() if own is not None and len(own)}
    if TRAIN not in found:
        raise LorascopeError(f"{where}: no images in a split 'train'; splits: {', '.join(loaded) or 'none'}")
    return found


def _column(
    dataset: datasets.Dataset, wanted: str | None, usual: tuple[str, ...], key: str, where: str
) -> str:
    names = (wanted,) if wanted else usual
    found = next((name for name in names if name in dataset.column_names), None)
    if found is None:
        raise LorascopeError(
            f"{where}: no column {' or '.join(map(repr, names))}; columns: {', '.join(dataset.column_names)}"
            f"; set sparse.images.{key}"
        )
    return found


def _pixels(dataset: datasets.Dataset, column: str, side: int | None, where: str) -> np.ndarray:
    """Decode images one by one, as their codecs want it, into [n, side, side, 3] uint8."""
    if not isinstance(dataset.features[column], datasets.Image):
        raise LorascopeError(f"{where}: column '{column}' holds no images; set sparse.images.image")
    pixels = None
    for row, image in enumerate(dataset.select_columns([column])):
        decoded = _decoded(image[column], side, f"{where}: row {row}")
        if pixels is None:
            pixels = np.empty((len(dataset), *decoded.shape), dtype=np.uint8)
        if decoded.shape != pixels.shape[1:] or decoded.shape[0] != decoded.shape[1]:
            height, width = decoded.shape[:2]
            raise LorascopeError(
                f"{where}: row {row} is {height} × {width} pixels, but all must be of one size and square; "
                "set sparse.images.side to have them cropped and scaled"
            )
        pixels[row] = decoded
    return pixels


def _decoded(image: Image.Image | None, side: int | None, where: str) -> np.ndarray:
    if image is None:
        raise LorascopeError(f"{where} has no image; leave it out")
    # Numbers beyond a byte would be cut off without a word.
    if image.mode[0] in "IF":
        raise LorascopeError(f"{where} has pixels of mode {image.mode}; store them as bytes")
    image = image.convert("RGB")
    return np.asarray(ImageOps.fit(image, (side, side)) if side else image)


def _without_grey_copies(images: np.ndarray) -> np.ndarray:
    """Keep one channel of grey images."""
    grey = (images == images[..., :1]).all()
    return images[..., :1] if grey else images


def _classes(labels: list, feature, where: str) -> tuple[np.ndarray, list[str]]:
    """Return numbers and names of the classes; without given names, the sorted values are the names."""
    values = np.concatenate([np.asarray(own[:]) for own in labels])
    names = getattr(feature, "names", None)
    if names:
        classes = np.where(values == None, -1, values).astype(np.int64)  # noqa: E711
    elif values.dtype == object and any(value is None for value in values):
        raise LorascopeError(f"{where}: some images have no class; leave them out")
    else:
        found, classes = np.unique(values, return_inverse=True)
        names = [str(name) for name in found]
    check_classes(classes, names, where)
    return classes.astype(np.int64), names


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
