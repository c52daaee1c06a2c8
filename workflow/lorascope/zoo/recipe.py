"""Everything that decides what a zoo holds, and which image serves which adapter. No torch in here:
the workflow imports this module while it is parsed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property

import numpy as np
import pyarrow as pa

from lorascope.errors import LorascopeError
from lorascope.fashion_mnist import FASHION_FOLDER
from lorascope.zoo.architecture import Architecture, Layer, adapted_layers
from lorascope.zoo.images import Images, class_names

INITS = ("kaiming", "gaussian", "shared")
BASES = ("shipped", "train")
PARTS = ("train", "validation", "test")
SHARES = (0.7, 0.1, 0.2)


@dataclass(frozen=True)
class Recipe:
    """The knobs of a zoo.

    The adapters' part: ``adapters`` in all, balanced over the classes of ``images_source`` (see
    :func:`~lorascope.zoo.images.load_images`), each trained on ``images`` pictures of one class (a count,
    or a pair: the lowest and the highest) for ``steps`` steps of ``batch`` pictures. ``block`` adapters are
    trained side by side in one job. ``init`` draws A: ``kaiming`` (uniform) or ``gaussian`` for each adapter
    as PEFT does, or ``shared``, one Kaiming draw for all.

    The base's part, ``base_...``, may only be changed with ``base="train"``: the shipped base has its own.
    """

    adapters: int = 400
    images_source: str = "mnist"
    images: int | tuple[int, int] = 7
    steps: int = 50
    batch: int = 4
    rank: int = 1
    init: str = "kaiming"
    learning_rate: float = 0.01
    weight_decay: float = 0.01
    seed: int = 0
    block: int = 40
    fashion_folder: str = FASHION_FOLDER
    base: str = "shipped"
    base_widths: tuple[int, ...] = (32, 64)
    base_steps: int = 2000
    base_batch: int = 64
    base_learning_rate: float = 0.004
    base_weight_decay: float = 0.01
    base_seed: int = 0

    @classmethod
    def from_settings(cls, settings: Mapping) -> "Recipe":
        """Check ``settings`` (any of the fields, lists for tuples) and fill in the defaults.

        Raises:
            LorascopeError: an unknown knob, a value of the wrong type or out of range, or values at odds.
        """
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(settings) - set(known)):
            raise LorascopeError(f"zoo: unknown setting {unknown[0]!r}; known are {', '.join(known)}")
        recipe = cls(**{name: _checked(name, value) for name, value in settings.items()})
        recipe._check_combinations()
        return recipe

    def _check_combinations(self) -> None:
        if self.adapters < 3 * len(self.classes):
            raise LorascopeError(
                f"zoo: adapters: {self.adapters} are too few for {len(self.classes)} classes: "
                f"set at least {3 * len(self.classes)}, so that each class is in all three parts"
            )
        if self.base == "shipped" and (changed := self._changed_base_knobs()):
            raise LorascopeError(
                f"zoo: {changed[0]} has no effect on the shipped base: set base: train, or remove it"
            )

    def _changed_base_knobs(self) -> list[str]:
        return [
            f.name for f in fields(self) if f.name.startswith("base_") and getattr(self, f.name) != f.default
        ]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the image source."""
        return class_names(self.images_source)

    @cached_property
    def architecture(self) -> Architecture:
        """The base's shape."""
        return Architecture(widths=self.base_widths, attention=(True,) * len(self.base_widths))

    @property
    def images_range(self) -> tuple[int, int]:
        """The lowest and the highest number of images of an adapter."""
        return (self.images, self.images) if isinstance(self.images, int) else self.images

    @property
    def blocks(self) -> int:
        """Number of training jobs; the last one may hold fewer adapters."""
        return -(-self.adapters // self.block)

    def members(self, block_index: int) -> range:
        """Return the rows of :func:`assign` that block ``block_index`` trains.

        Raises:
            LorascopeError: there is no such block.
        """
        if not 0 <= block_index < self.blocks:
            raise LorascopeError(
                f"zoo: block {block_index} does not exist: there are blocks 0 to {self.blocks - 1}"
            )
        return range(block_index * self.block, min((block_index + 1) * self.block, self.adapters))

    def settings(self) -> dict:
        """Return every knob as plain JSON values; ``Recipe.from_settings`` takes them back."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def base_settings(self) -> dict:
        """Return the knobs that a trained base depends on."""
        wanted = {"images_source", *(field.name for field in fields(self) if field.name.startswith("base_"))}
        if "fashion" in self.images_source.split("+"):
            wanted.add("fashion_folder")
        return {name: value for name, value in self.settings().items() if name in wanted}


_LEAST = {
    "adapters": 1,
    "steps": 1,
    "batch": 1,
    "rank": 1,
    "seed": 0,
    "block": 1,
    "base_steps": 1,
    "base_batch": 2,
    "base_seed": 0,
}
_RATES = ("learning_rate", "weight_decay", "base_learning_rate", "base_weight_decay")
_CHOICES = {"init": INITS, "base": BASES}


def _checked(name: str, value: object) -> object:
    """Return ``value`` in the type of the knob ``name``, or raise with what would be right."""
    if name in _LEAST:
        good, wanted = _is_whole(value, _LEAST[name]), f"a whole number of at least {_LEAST[name]}"
    elif name in _RATES:
        good, wanted = _is_rate(value), "a number between 0 and 1"
    elif name in _CHOICES:
        good, wanted = value in _CHOICES[name], f"one of {', '.join(_CHOICES[name])}"
    elif name == "images":
        value = tuple(value) if isinstance(value, list) else value
        good, wanted = _is_count_or_range(value), "a whole number of at least 1, or a pair [lowest, highest]"
    elif name == "base_widths":
        value = tuple(value) if isinstance(value, list) else value
        good, wanted = _are_widths(value), "a list of one to three multiples of 8 such as [32, 64]"
    else:
        good, wanted = isinstance(value, str), "a text"
    if not good:
        raise LorascopeError(f"zoo: {name}: {value!r} is not {wanted}")
    return value


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_count_or_range(value: object) -> bool:
    pair = value if isinstance(value, tuple) else (value, value)
    return len(pair) == 2 and all(_is_whole(v, 1) for v in pair) and pair[0] <= pair[1]


def _are_widths(value: object) -> bool:
    # Three halvings of an 8 × 8 latent leave a single place.
    return (
        isinstance(value, tuple)
        and 1 <= len(value) <= 3
        and all(_is_whole(v, 8) and v % 8 == 0 for v in value)
    )


def target_layers(recipe: Recipe) -> list[Layer]:
    """Return the adapted layers' names and shapes, in the order in which data passes through them."""
    return adapted_layers(recipe.architecture)


def assign(recipe: Recipe, images: Images) -> pa.Table:
    """Give every adapter a class, a part, its images and a seed.

    Args:
        images: what ``recipe.images_source`` holds.

    Returns:
        One row an adapter: ``adapter`` (its id), ``label``, ``split`` (train, validation, test: 70 / 10 / 20
        in each class), ``images`` (list of int32, indices into the argument), ``seed`` (int64). An adapter's
        images are distinct. Adapters may share one only within a part of the split, and none is the base's.

    Raises:
        LorascopeError: a part has fewer images than an adapter needs.
    """
    rng = np.random.default_rng(recipe.seed)
    names = np.array(recipe.classes)[np.arange(recipe.adapters) % len(recipe.classes)]
    splits = np.empty(recipe.adapters, dtype=object)
    picked: list[np.ndarray] = [np.empty(0, np.int32)] * recipe.adapters
    for name in recipe.classes:
        pools = _cut(rng.permutation(np.flatnonzero((images.labels == name) & ~images.for_base)))
        members = _cut(rng.permutation(np.flatnonzero(names == name)))
        for part, pool, adapters in zip(PARTS, pools, members, strict=True):
            splits[adapters] = part
            for adapter in adapters:
                picked[adapter] = _pick(rng, pool, recipe, f"{part} images of class {name}")
    return pa.table(
        {
            "adapter": [f"zoo-{i:04d}" for i in range(recipe.adapters)],
            "label": pa.array(names.tolist(), pa.string()),
            "split": pa.array(splits.tolist(), pa.string()),
            "images": pa.array(picked, pa.list_(pa.int32())),
            "seed": np.random.SeedSequence(recipe.seed).generate_state(recipe.adapters).astype(np.int64),
        }
    )


def _cut(shuffled: np.ndarray) -> list[np.ndarray]:
    """Cut an array into the three parts; validation and test get at least one entry."""
    counts = [max(1, round(share * len(shuffled))) for share in SHARES]
    return np.split(shuffled, [len(shuffled) - counts[1] - counts[2], len(shuffled) - counts[2]])


def _pick(rng: np.random.Generator, pool: np.ndarray, recipe: Recipe, what: str) -> np.ndarray:
    count = rng.integers(*recipe.images_range, endpoint=True)
    if count > len(pool):
        raise LorascopeError(
            f"zoo: images: {count} are asked for, but there are only {len(pool)} {what}: set fewer"
        )
    return np.sort(rng.choice(pool, count, replace=False)).astype(np.int32)
