"""The picture of a zoo's samples, as the command asks for it; it has no part in the keys of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from lorascope.files import write_bytes
from lorascope.zoo.base import load_base
from lorascope.zoo.images import load_images
from lorascope.zoo.lora import Factors
from lorascope.zoo.pictures import AMPLIFIED, draw_adapters, draw_base, page
from lorascope.zoo.recipe import Recipe, assign
from lorascope.zoo.shards import Shard, read_shard

ADAPTERS_PER_CLASS = 2


def draw_samples(
    settings: Mapping, base_path: str | Path | None, shard_paths: Sequence[str | Path], out_png: str | Path
) -> None:
    """Draw samples of the base and of the first two adapters of every class that ``shard_paths`` hold."""
    recipe = Recipe.from_settings(settings)
    base = load_base(recipe, base_path)
    shards = [read_shard(path) for path in shard_paths]
    labels = _labels(recipe, [adapter for shard in shards for adapter in shard.adapters])
    rows = {name: np.flatnonzero(labels == name)[:ADAPTERS_PER_CLASS] for name in recipe.classes}
    rows = {name: of_class for name, of_class in rows.items() if len(of_class)}
    # All adapters in one batch: small batches spend their time on calls, not on numbers.
    factors = _selected(shards, np.concatenate(list(rows.values())))
    borders = np.cumsum([len(of_class) for of_class in rows.values()])[:-1]
    trained, amplified = (
        dict(zip(rows, np.split(draw_adapters(recipe, base, factors, strength), borders), strict=True))
        for strength in (1, AMPLIFIED)
    )
    write_bytes(out_png, page(draw_base(recipe, base), trained, amplified))


def _labels(recipe: Recipe, adapters: list[str]) -> np.ndarray:
    table = assign(recipe, load_images(recipe.images_source, recipe.fashion_folder))
    label_of = dict(zip(table["adapter"].to_pylist(), table["label"].to_pylist(), strict=True))
    return np.array([label_of[adapter] for adapter in adapters])


def _selected(shards: list[Shard], rows: np.ndarray) -> Factors:
    """Return the given rows of all shards' adapters, counted through."""
    whole = {
        name: [np.concatenate([shard.factors[name][side] for shard in shards]) for side in (0, 1)]
        for name in shards[0].factors
    }
    return {name: (torch.from_numpy(A[rows]), torch.from_numpy(B[rows])) for name, (A, B) in whole.items()}
