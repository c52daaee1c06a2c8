"""Many layers as few patterns: numbers that vary become ``{}``, and boxes say which values they take."""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)|(?<=^)\d+(?=\.)|(?<=\.block)\d+(?=\.)")
Index = tuple[int, ...]
Row = tuple[str, Hashable, str]


def pack(named: Iterable[tuple[str, Hashable]]) -> list[Row]:
    """Return (pattern, value, boxes) of (name, value): every name once, those of one pattern together."""
    groups: dict[tuple[str, Hashable], list[Index]] = defaultdict(list)
    for name, value in named:
        shape, numbers = split(name)
        groups[shape, value].append(numbers)
    varying = _varying(groups)
    rows: list[Row] = []
    for (shape, value), indices in groups.items():
        free = varying[shape]
        for fixed, some in _by_fixed(indices, free).items():
            rows.append((_pattern(shape, fixed), value, boxes(some)))
    return rows


def split(name: str) -> tuple[str, Index]:
    """Return the name with ``{}`` for every whole number, and the numbers."""
    return _NUMBER.sub("{}", name), tuple(map(int, _NUMBER.findall(name)))


def _varying(groups: Mapping[tuple[str, Hashable], Sequence[Index]]) -> dict[str, list[bool]]:
    """A number belongs to the pattern where no group of its shape has two of it."""
    found: dict[str, list[bool]] = {}
    for (shape, _), indices in groups.items():
        own = [len(set(values)) > 1 for values in zip(*indices, strict=True)]
        known = found.setdefault(shape, [False] * len(own))
        found[shape] = [a or b for a, b in zip(known, own, strict=True)]
    return found


def _by_fixed(indices: Iterable[Index], free: Sequence[bool]) -> dict[tuple, list[Index]]:
    groups: dict[tuple, list[Index]] = defaultdict(list)
    for index in indices:
        fixed = tuple(None if varies else number for number, varies in zip(index, free, strict=True))
        groups[fixed].append(tuple(number for number, varies in zip(index, free, strict=True) if varies))
    return groups


def _pattern(shape: str, fixed: Sequence[int | None]) -> str:
    texts = iter(fixed)
    return re.sub(r"\{\}", lambda _: "{}" if (number := next(texts)) is None else str(number), shape)


def boxes(indices: Iterable[Index]) -> str:
    """Return the text of a set of indices: ``0-18``, ``0-15/0-3``, joined by ``;`` where it is no one box."""
    return ";".join("/".join(_range(*side) for side in box) for box in _boxes(sorted(set(indices))))


def _boxes(indices: list[Index]) -> list[list[tuple[int, int]]]:
    if not indices or not indices[0]:
        return []
    inner: dict[int, list[Index]] = defaultdict(list)
    for first, *rest in indices:
        inner[first].append(tuple(rest))
    found: list[list[tuple[int, int]]] = []
    runs: list[tuple[int, int, list[Index]]] = []
    for first, rest in inner.items():
        if runs and runs[-1][1] == first - 1 and runs[-1][2] == rest:
            runs[-1] = (runs[-1][0], first, rest)
        else:
            runs.append((first, first, rest))
    for low, high, rest in runs:
        found += [[(low, high), *box] for box in _boxes(rest) or [[]]]
    return found


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"
