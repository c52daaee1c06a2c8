"""Which layers of a model a name stands for."""

from dataclasses import dataclass

from lorascope.adapters.atlas.reader import Architecture, Layer, Name, Pattern, key_of_pattern, layer_of
from lorascope.adapters.atlas.spelling import ANY, Numbers, Spelled, key_of

_WORDS = 8
"""No native prefix has more words: ``output_blocks.11.0.skip_connection`` has six."""


@dataclass(frozen=True)
class Place:
    """Where a module of a file belongs in a model.

    Attributes:
        paths: canonical layers, in the order of the module's rows.
        patterns: their entries in the model, with the sizes of the block (of any, if it has no such block).
        swap: the two halves of the module's rows change places.
        inside: the model has blocks of these numbers.
    """

    paths: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    swap: bool
    inside: bool

    @property
    def is_open(self) -> bool:
        """Whether the model's sizes vary."""
        return not all(pattern.d_out for pattern in self.patterns)

    def layers(self) -> list[Layer]:
        """Return what the atlas says of the layers."""
        return [layer_of(pattern, path) for pattern, path in zip(self.patterns, self.paths, strict=True)]

    def parts_of(self, rows: int) -> list[int] | None:
        """Return how many of a module's rows each layer has; None if they cannot be shared out.

        In another width of the same model, the parts keep their proportions.
        """
        if len(self.paths) == 1:
            return [rows]
        sizes = [pattern.d_out for pattern in self.patterns]
        total = sum(sizes)
        if not total or any(size * rows % total for size in sizes):
            return None
        return [size * rows // total for size in sizes]

    def against(self, d_out: int, d_in: int) -> str | None:
        """Return what speaks against a module of these sizes being this place; None if nothing does."""
        if not self.inside:
            return f"it has no {self.paths[0]}"
        if self.is_open:
            return None
        expected = sum(pattern.d_out for pattern in self.patterns), self.patterns[0].d_in
        if (d_out, d_in) == expected:
            return None
        return f"its {self.paths[0]} is {expected[0]} × {expected[1]}, here {d_out} × {d_in}"


def find(model: Architecture, spelled: Spelled) -> Place | None:
    """Return which layers a name stands for, in whatever spelling without its prefix; None if in none."""
    if spelled.key in model.names:
        # A name that has dots has them all: transformer.blocks is not transformer_blocks.
        dotted = spelled.name if "." in spelled.name else None
        return _find(model, spelled.key, spelled.numbers, dotted)
    return _find_renamed(model, spelled.flat) if model.prefixes else None


def find_name(model: Architecture, name: str) -> Place | None:
    """Return which layers a name without any prefix stands for."""
    return find(model, Spelled(ANY, "", name))


def _find(model: Architecture, key: str, numbers: Numbers, dotted: str | None = None) -> Place | None:
    best: tuple[Name, Numbers] | None = None
    for name in model.names.get(key, ()):
        if (index := name.index_of(numbers)) is None:
            continue
        if dotted and name.text.format(*index) != dotted:
            continue
        if name.holds(index):
            return _place(model, name, index, True)
        best = best or (name, index)
    return _place(model, *best, False) if best else None


def _find_renamed(model: Architecture, flat: str) -> Place | None:
    """Stability AI's blocks: the longest beginning that has a canonical name, whole words only."""
    words = flat.split("_", _WORDS)
    for count in range(min(len(words), _WORDS), 0, -1):
        native = "_".join(words[:count])
        if canonical := model.flat_prefixes.get(native):
            return _find(model, *key_of(canonical + flat[len(native) :]))
    return None


def _place(model: Architecture, name: Name, index: Numbers, inside: bool) -> Place:
    paths = tuple(target.format(*index) for target in name.targets)
    return Place(
        paths, tuple(_pattern_of(model, target, index) for target in name.targets), name.swap, inside
    )


def _pattern_of(model: Architecture, target: str, index: Numbers) -> Pattern:
    """One name may have two sizes: the block's number decides; any of them where there is no such block."""
    key, template = key_of_pattern(target)
    varying = iter(index)
    numbers = tuple(next(varying) if number is None else number for number in template)
    fitting = [entry for entry in model.canonical[key] if entry[0].index_of(numbers) is not None]
    inside = (pattern for name, pattern in fitting if name.holds(name.index_of(numbers)))
    return next(inside, fitting[0][1])
