"""The atlas' files, read when they are asked for: what the layers of a model are called and what they do."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from itertools import product
from math import prod
from pathlib import Path

# The keys of a study follow imports, not data files: names that change must change them.
from lorascope.adapters.atlas.digest import DIGEST as DIGEST
from lorascope.adapters.atlas.spelling import Numbers, key_of

DATA = Path(__file__).parent / "data"
INDEX = "index.json"
ANY = "*"
_VARIES = 99_999

STREAMS = {"i": "image", "t": "text", "b": "both", "x": "audio", "-": "none"}
PARTS = {
    "a": "attention", "f": "feed-forward", "g": "attention and feed-forward", "m": "modulation",
    "e": "embedding", "c": "convolution",
}  # fmt: skip
ATTENTIONS = {"s": "self", "c": "cross", "j": "joint", "-": None}


@dataclass(frozen=True)
class Layer:
    """One layer of a model.

    Attributes:
        path: canonical: as diffusers or transformers call it, without a prefix of the pipeline.
        d_out, d_in: sizes of ΔW, a convolution's kernel counted into d_in; None where they vary.
        block: place in depth, e.g. ``transformer_blocks.3``; "other" outside the blocks.
        stream: ``image``, ``text``, ``both``, ``audio`` or ``none``: what it works on.
        part: ``attention``, ``feed-forward``, ``modulation``, ``embedding``, ``convolution``, …
        attention: ``self``, ``cross``, ``joint`` or None.
        projection: name inside its part, e.g. ``to_q`` or ``to_out.0``.
    """

    path: str
    d_out: int | None
    d_in: int | None
    block: str
    stream: str
    part: str
    attention: str | None
    projection: str


@dataclass(frozen=True)
class Pattern:
    """Layers of one name and one size: ``{}`` stands for the numbers that vary.

    Attributes:
        boxes: ranges of these numbers; None where any number is right.
    """

    text: str
    kind: str
    d_out: int
    d_in: int
    role: str
    boxes: tuple[tuple[range, ...], ...] | None

    @property
    def count(self) -> int:
        """Number of layers; 1 where it varies."""
        return 1 if self.boxes is None else sum(prod(map(len, box)) for box in self.boxes)


@dataclass(frozen=True)
class Name:
    """One spelling of a pattern's layers.

    Attributes:
        text: the name with its dots, ``{}`` for the numbers that vary.
        fixed: the numbers of the name, None for those that vary.
        boxes: ranges of those that vary; None where any number is right.
        targets: canonical patterns, in the order of the module's rows.
        swap: the two halves of the rows change places.
    """

    text: str
    fixed: tuple[int | None, ...]
    boxes: tuple[tuple[range, ...], ...] | None
    targets: tuple[str, ...]
    swap: bool = False

    def index_of(self, numbers: Numbers) -> Numbers | None:
        """Return the varying numbers of a name; None if its fixed ones are others."""
        if len(numbers) != len(self.fixed):
            return None
        if any(own not in (None, number) for own, number in zip(self.fixed, numbers, strict=True)):
            return None
        return tuple(number for own, number in zip(self.fixed, numbers, strict=True) if own is None)

    def holds(self, index: Numbers) -> bool:
        """Return whether the model has a layer of these numbers."""
        return self.boxes is None or any(
            all(number in side for number, side in zip(index, box, strict=True)) for box in self.boxes
        )


Spelling = tuple[str, tuple[str, ...], bool, tuple]
"""Pattern of a name, canonical patterns in the order of its rows, whether its halves change places, boxes."""


@dataclass(frozen=True)
class Architecture:
    """One model of the atlas: see ``maker/models.py`` for the attributes that come from there."""

    id: str
    name: str
    family: str
    kind: str
    component: str
    cls: str
    optional: str
    patterns: tuple[Pattern, ...] = field(repr=False)
    native: tuple[Spelling, ...] = field(repr=False)
    aliases: tuple[Spelling, ...] = field(repr=False)
    prefixes: tuple[tuple[str, str], ...] = field(repr=False)

    @cached_property
    def names(self) -> dict[str, list[Name]]:
        """Key of a name → its spellings."""
        found: dict[str, list[Name]] = {}
        for pattern in self.patterns:
            self._add(found, pattern.text, pattern.boxes, (pattern.text,), False)
        for text, targets, swap, boxes in (*self.native, *self.aliases):
            self._add(found, text, boxes, targets, swap)
        return found

    def _add(self, found: dict, text: str, boxes, targets: tuple[str, ...], swap: bool) -> None:
        key, fixed = key_of_pattern(text)
        found.setdefault(key, []).append(Name(text, fixed, boxes, targets, swap))
        if self.optional and text.startswith(self.optional):
            short = Name(text.removeprefix(self.optional), fixed, boxes, targets, swap)
            found.setdefault(key.removeprefix(key_of(self.optional)[0]), []).append(short)

    @cached_property
    def canonical(self) -> dict[str, list[tuple[Name, Pattern]]]:
        """Key of a canonical path → its entries, one for each size."""
        found: dict[str, list[tuple[Name, Pattern]]] = {}
        for pattern in self.patterns:
            key, fixed = key_of_pattern(pattern.text)
            found.setdefault(key, []).append(
                (Name(pattern.text, fixed, pattern.boxes, (pattern.text,)), pattern)
            )
        return found

    @cached_property
    def flat_prefixes(self) -> dict[str, str]:
        """Native → canonical prefix, both without dots."""
        return {old.replace(".", "_"): new.replace(".", "_") for old, new in self.prefixes}

    @property
    def size(self) -> int:
        """Number of layers."""
        return sum(pattern.count for pattern in self.patterns)

    def layers(self) -> Iterator[Layer]:
        """Yield every layer; one a pattern, with ``{}``, where numbers vary without end."""
        for pattern in self.patterns:
            for index in [None] if pattern.boxes is None else _indices(pattern.boxes):
                path = pattern.text if index is None else pattern.text.format(*index)
                yield layer_of(pattern, path)

    def spellings(self) -> Iterator[tuple[str, tuple[str, ...], bool]]:
        """Yield (name, canonical paths in the order of its rows, whether its halves change places)."""
        yield from self.native_modules()
        yield from _spelled_out(self.aliases)

    def native_modules(self) -> Iterator[tuple[str, tuple[str, ...], bool]]:
        """Yield the same of the modules that the model's own code calls otherwise than the atlas."""
        yield from _spelled_out(self.native)
        native = {new: old for old, new in self.prefixes}
        for layer in self.layers() if native else ():
            if layer.path in native:
                yield native[layer.path], (layer.path,), False
            elif stem := next((stem for stem in native if layer.path.startswith(f"{stem}.")), None):
                yield native[stem] + layer.path[len(stem) :], (layer.path,), False


def _spelled_out(rows: Iterable[Spelling]) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    for text, targets, swap, boxes in rows:
        for index in _indices(boxes or ()):
            yield text.format(*index), tuple(target.format(*index) for target in targets), swap


def layer_of(pattern: Pattern, path: str) -> Layer:
    """Return one layer of a pattern."""
    stream, part, attention = pattern.role
    return Layer(
        path,
        pattern.d_out or None,
        pattern.d_in or None,
        block_of(path),
        STREAMS[stream],
        PARTS[part],
        ATTENTIONS[attention],
        projection_of(path),
    )


def block_of(path: str) -> str:
    """Return the block of a path: up to its first number, or UNet's ``mid_block``; ``other`` outside."""
    match = re.match(r"mid_block(?=\.)|(?:[^.]*[^.\d][^.]*\.)+?\d+(?=\.)", path)
    return match[0] if match else "other"


def projection_of(path: str) -> str:
    """Return the last name of a path, with the number that follows it."""
    match = re.search(r"[^.]*[^.\d][^.]*(?:\.\d+)?$", path)
    return match[0] if match else path


@cache
def key_of_pattern(text: str) -> tuple[str, tuple[int | None, ...]]:
    """Return the key of a pattern, and its numbers with None for those that vary."""
    key, numbers = key_of(text.replace("{}", str(_VARIES)))
    return key, tuple(None if number == _VARIES else number for number in numbers)


def _indices(boxes: tuple) -> Iterator[Numbers]:
    for box in boxes:
        yield from product(*box)


def indices_of(text: str) -> list[Numbers]:
    """Return the numbers that the text of boxes stands for; [()] for none."""
    return list(_indices(_boxes(text) or ()))


def _boxes(text: str) -> tuple[tuple[range, ...], ...] | None:
    if text == ANY:
        return None
    return tuple(tuple(map(_range, filter(None, box.split("/")))) for box in text.split(";"))


def _range(text: str) -> range:
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1)


@cache
def architecture(name: str) -> Architecture:
    """Read one model's file."""
    entries = json.loads((DATA / f"{name}.json").read_bytes())
    return Architecture(
        name,
        entries["name"],
        entries["family"],
        entries["kind"],
        entries["component"],
        entries["class"],
        entries["optional"],
        tuple(Pattern(*row[:-1], _boxes(row[-1])) for row in entries["layers"]),
        _spellings(entries["native"]),
        _spellings(entries["aliases"]),
        tuple(map(tuple, entries["prefixes"])),
    )


def _spellings(rows: list[list[str]]) -> tuple[Spelling, ...]:
    return tuple(
        (text, tuple(targets.split()), bool(swap), _boxes(where)) for text, targets, swap, where in rows
    )


@lru_cache(maxsize=1)
def index() -> dict[str, tuple[str, ...]]:
    """Return key of a name → the models that have such a name."""
    grouped = json.loads((DATA / INDEX).read_bytes())
    return {
        key: models for text, keys in grouped.items() for models in (tuple(text.split()),) for key in keys
    }


def architectures() -> list[str]:
    """Return the names of all models of the atlas, sorted."""
    return sorted(path.stem for path in DATA.glob("*.json") if path.name != INDEX)
