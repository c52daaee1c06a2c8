"""Prepare images once: one array that every run maps into memory, with its classes, split and manifest."""

from pathlib import Path

import numpy as np

from lorascope.data.inputs import FILES, check_unchanged, record
from lorascope.digests import digest_of
from lorascope.errors import LorascopeError
from lorascope.files import atomic_path, write_json
from lorascope.sparse.images import TEST, TRAIN, VALIDATION
from lorascope.sparse.sources import SourceImages, image_files, read_source

# Of a source without a test part of its own.
TEST_SHARE = 0.2
PART_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}


def prepare_images(
    settings: dict, out: str | Path, provenance: dict, downloaded: str | Path | None = None
) -> None:
    """Read the images of a source and write what :func:`lorascope.sparse.images.open_images` opens.

    A test or validation part that the source brings is kept; what is missing is drawn from the training
    images, stratified by class: a fifth of them to test, then ``validation`` of the rest.

    Args:
        settings: ``sparse.images`` of the config, complete.
        out: gets images.npy, labels.npy, parts.npy and, last, manifest.json.
        provenance: key, code and versions; stored in the manifest.
        downloaded: what ``lorascope download`` wrote, for images on the hub.

    Raises:
        LorascopeError: the source cannot be read, or a class is too small for every part, or a
            file changed while it was read.
    """
    recorded = record(image_files(settings))
    read, out = read_source(settings, downloaded), Path(out)
    parts = split_images(read, settings["validation"], settings["seed"])
    arrays = {"images": read.images, "labels": read.classes, "parts": parts}
    for name, array in arrays.items():
        _save_array(out / f"{name}.npy", array)
    manifest = {
        "name": settings["source"],
        "classes": read.class_names,
        **channel_moments(read.images[parts == TRAIN]),
        "shape": list(read.images.shape),
        "split": {name: int((parts == part).sum()) for part, name in PART_NAMES.items()},
        "digests": {name: digest_of(np.ascontiguousarray(own)) for name, own in arrays.items()},
        FILES: recorded,
        "provenance": provenance,
    }
    check_unchanged(recorded)
    # Last: a folder with a manifest is whole.
    write_json(out / "manifest.json", manifest)


def split_images(read: SourceImages, validation: float, seed: int) -> np.ndarray:
    """Return the part [n] int8 of every image.

    Args:
        read: images and the parts that their source has.
        validation: share of the training images that validate.
        seed: of the draw.

    Raises:
        LorascopeError: a class has too few images.
    """
    parts = read.parts.copy()
    for part, share in ((TEST, TEST_SHARE), (VALIDATION, validation)):
        if not (parts == part).any():
            parts[_drawn(np.flatnonzero(parts == TRAIN), read.classes, share, seed)] = part
    return parts


def _drawn(rows: np.ndarray, classes: np.ndarray, share: float, seed: int) -> np.ndarray:
    from sklearn.model_selection import train_test_split  # half a second that opening needs not

    try:
        return train_test_split(rows, test_size=share, stratify=classes[rows], random_state=seed)[1]
    except ValueError as error:
        raise LorascopeError(f"images: cannot be split: {error}; leave small classes out") from None


def channel_moments(images: np.ndarray) -> dict[str, list[float]]:
    """Return mean and standard deviation of each channel of [n, side, side, channels], on a scale of 0 to 1.

    A channel that does not vary counts as of deviation 1, so that it becomes 0 and not infinite.
    """
    levels = np.arange(256) / 255
    # A byte has 256 values: counting them is exact and needs no copy in floats.
    counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])]
    means = [np.average(levels, weights=count) for count in counts]
    variances = [
        np.average((levels - mean) ** 2, weights=count) for mean, count in zip(means, counts, strict=True)
    ]
    return {"mean": [float(mean) for mean in means], "std": [float(np.sqrt(v)) or 1.0 for v in variances]}


def _save_array(path: Path, array: np.ndarray) -> None:
    with atomic_path(path) as temp, temp.open("wb") as file:
        np.save(file, array, allow_pickle=False)
