"""Prompts and their embeddings: the zoo's stand-in for a frozen text encoder.

Every word is a row of a Hadamard matrix: orthogonal to the others, dense, of unit root mean square, and exact
without random numbers or a file. A prompt is "a photo of <subject>".
"""

import numpy as np
import torch
from torch import Tensor

SUBJECT = "sks"  # the token of every adapter's prompt; the base never meets it
GENERIC = "something"  # the base's prompt for an image of any class
PREFIX = ("a", "photo", "of")


def embed_subjects(subjects: list[str], classes: tuple[str, ...], width: int) -> Tensor:
    """Embed "a photo of <subject>" for each subject: float32 [n, 4, width].

    A subject is :data:`SUBJECT`, :data:`GENERIC` or one of ``classes``; ``width`` is a power of two that is
    at least ``len(classes) + 5``.
    """
    words = [*PREFIX, SUBJECT, GENERIC, *classes]
    rows = torch.from_numpy(_hadamard(width)[: len(words)])
    prefix = rows[: len(PREFIX)].expand(len(subjects), -1, -1)
    last = rows[[words.index(subject) for subject in subjects]]
    return torch.cat([prefix, last[:, None]], dim=1)


def _hadamard(width: int) -> np.ndarray:
    """Sylvester's matrix: entry (i, j) is −1 to the number of bits that i and j share.

    Importing scipy.linalg for its own would take half a second of every training job.
    """
    index = np.arange(width)
    shared_bits = np.bitwise_count(index[:, None] & index)
    return np.where(shared_bits % 2, -1, 1).astype(np.float32)
