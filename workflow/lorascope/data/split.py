"""The split of a data set into train, validation and test parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.errors import LorascopeError

TRAIN, VALIDATION, TEST, ALL = "train", "validation", "test", "all"
PARTS = (TRAIN, VALIDATION, TEST)
# Up to this many adapters no split means anything: all parts are the whole set, and outputs say so.
SANITY_ADAPTERS = 10


@dataclass(frozen=True)
class SplitSettings:
    """Shares of the parts (they add up to 1) and the seed that fixes the draw."""

    seed: int = 42
    train: float = 0.7
    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self):
        if not np.isclose(self.train + self.validation + self.test, 1):
            raise LorascopeError(
                f"split: shares add up to {self.train + self.validation + self.test:g}, not 1"
            )


def check_classes(labels: Sequence[str], where: str) -> list[str]:
    """Return the sorted classes.

    Raises:
        LorascopeError: fewer than two classes, or (in a set that is split) a class too small for three parts.
    """
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    if len(classes) < 2:
        raise LorascopeError(f"{where}: only one class ('{classes[0]}'); a probe needs at least two")
    small = [f"'{name}' ({count})" for name, count in zip(classes, counts, strict=True) if count < len(PARTS)]
    if small and len(labels) > SANITY_ADAPTERS:
        raise LorascopeError(
            f"{where}: too few adapters of {', '.join(small[:8])}; a class needs 3, one for each part"
        )
    return classes.tolist()


def split_adapters(
    labels: Sequence[str], groups: Sequence[str] | None, settings: SplitSettings
) -> np.ndarray:
    """Assign each adapter to a part: stratified, and with ``groups`` no group in two parts.

    Args:
        labels: class of each adapter.
        groups: what must stay together (image source, duplicates), or None.

    Returns:
        Array of ``train`` / ``validation`` / ``test``; ``all`` for at most 10 adapters.

    Raises:
        LorascopeError: the groups are so few that a part would lack a class.
    """
    if len(labels) <= SANITY_ADAPTERS:
        return np.full(len(labels), ALL, dtype="<U10")
    labels = np.asarray(labels)
    if groups is None or len(set(groups)) == len(groups):
        return _stratified(labels, settings)
    return _grouped(labels, np.asarray(groups), settings)


def _stratified(labels: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """Give every class its share of each part, at least one member; rounding errors are carried on."""
    rng = np.random.default_rng(settings.seed)
    parts = np.empty(len(labels), dtype="<U10")
    carried = np.zeros(len(PARTS))
    for name in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == name))
        wanted = len(members) * np.array([settings.train, settings.validation, settings.test]) + carried
        counts = _rounded(wanted, len(members))
        # More than one is no rounding error: it is what small classes owe to the least of one.
        carried = np.clip(wanted - counts, -1, 1)
        parts[members] = np.repeat(PARTS, counts)
    return parts


def _rounded(wanted: np.ndarray, total: int) -> np.ndarray:
    """Round to whole numbers ≥ 1 that add up to ``total``, by largest remainders."""
    counts = np.maximum(np.floor(wanted), 1).astype(int)
    while counts.sum() < total:
        counts[np.argmax(wanted - counts)] += 1
    while counts.sum() > total:
        counts[np.argmin(np.where(counts > 1, wanted - counts, np.inf))] -= 1
    return counts


def _grouped(labels: np.ndarray, groups: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """Give each group, the largest first, to the part that still lacks the largest share of its classes."""
    _, group_of = np.unique(groups, return_inverse=True)
    _, class_of = np.unique(labels, return_inverse=True)
    counts = np.zeros((group_of.max() + 1, class_of.max() + 1))
    np.add.at(counts, (group_of, class_of), 1)
    lacking = np.ones((len(PARTS), counts.shape[1]))
    shares = np.array([settings.train, settings.validation, settings.test])
    wanted = shares[:, None] * counts.sum(axis=0)
    part_of = np.empty(len(counts), int)
    shuffled = np.random.default_rng(settings.seed).permutation(len(counts))
    for group in shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]:
        part = int(np.argmax(lacking @ counts[group]))
        part_of[group] = part
        lacking[part] -= counts[group] / wanted[part]
    parts = np.array(PARTS)[part_of[group_of]]
    for part in PARTS:
        if absent := sorted(set(labels) - set(labels[parts == part])):
            raise LorascopeError(
                f"split: the {part} part has no adapter of {', '.join(absent[:8])}; a class needs three "
                "groups (equal adapters are one): choose a finer group column, or leave the class out"
            )
    return parts
