"""The zoo's steps as the command calls them: settings and paths in, files out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from lorascope.computing import DEVICE, computing_versions
from lorascope.errors import LorascopeError
from lorascope.files import write_bytes, write_json, write_table
from lorascope.zoo.base import TOLERANCE, held_out_losses, load_base, save_base, train_base
from lorascope.zoo.images import Images, load_images
from lorascope.zoo.lora import Factors
from lorascope.zoo.recipe import Recipe, assign
from lorascope.zoo.shards import Shard, read_shard, write_shard
from lorascope.zoo.train import Trained, train_adapters

ADAPTERS_PER_CLASS = 2


def train_base_file(settings: Mapping, out_path: str | Path) -> None:
    """Train the base of ``settings`` into a safetensors file; the default recipe gives the shipped base."""
    recipe = Recipe.from_settings(settings)
    unet, curve = train_base(recipe, _images(recipe))
    save_base(recipe, unet, curve, out_path)


def compare_base_files(base_path: str | Path, out_json: str | Path) -> dict:
    """Measure a rebuilt base beside the shipped one, on the same images, timesteps and noise.

    Writes and returns ``rebuilt`` and ``shipped`` (held-out losses), ``tolerance`` and ``as_good``: whether
    no loss of the rebuilt base exceeds the shipped base's by more than that share.

    Raises:
        LorascopeError: a base cannot be read, or the rebuilt one was not trained by the shipped one's recipe.
    """
    recipe = Recipe(base="train")
    images = _images(recipe)
    bases = {"rebuilt": load_base(recipe, base_path), "shipped": load_base(Recipe())}
    losses = {name: held_out_losses(recipe, unet, images) for name, unet in bases.items()}
    as_good = all(
        losses["rebuilt"][kind] <= loss * (1 + TOLERANCE) for kind, loss in losses["shipped"].items()
    )
    comparison = {**losses, "tolerance": TOLERANCE, "as_good": as_good}
    write_json(out_json, comparison)
    return comparison


def train_block_files(
    settings: Mapping,
    block_index: int,
    base_path: str | Path | None,
    out_safetensors: str | Path,
    out_parquet: str | Path,
) -> None:
    """Train one block of adapters into a shard, and a table beside it that says what each adapter is.

    The table has the columns of :func:`~lorascope.zoo.recipe.assign` and ``loss_first``, ``loss_last`` (means
    over the first and the last fifth of the steps) and ``loss_final`` (the last step).

    Args:
        base_path: the file of :func:`train_base_file` with ``base: train``, None with ``base: shipped``.
    """
    recipe = Recipe.from_settings(settings)
    members = recipe.members(block_index)
    images = _images(recipe)
    table = assign(recipe, images).slice(members.start, len(members))
    latents = torch.from_numpy(images.latents)
    sets = [latents[picked] for picked in table["images"].to_pylist()]
    trained = train_adapters(recipe, load_base(recipe, base_path), sets, table["seed"].to_pylist())
    if not torch.isfinite(trained.losses).all():
        raise LorascopeError(f"zoo: training diverged in block {block_index}: lower learning_rate")
    about = {"recipe": recipe.settings(), "versions": computing_versions(), DEVICE: "cpu"}
    write_table(out_parquet, _with_losses(table, trained), about)
    factors = {name: (A.numpy(), B.numpy()) for name, (A, B) in trained.factors.items()}
    ids = table["adapter"].to_pylist()
    write_shard(out_safetensors, Shard(ids, recipe.rank, recipe.rank, recipe.settings(), factors))


def draw_samples(
    settings: Mapping, base_path: str | Path | None, shard_paths: Sequence[str | Path], out_png: str | Path
) -> None:
    """Draw samples of the base and of the first two adapters of every class that ``shard_paths`` hold."""
    # In here because matplotlib takes a second to import, which training has no use for.
    from lorascope.zoo.pictures import AMPLIFIED, draw_adapters, draw_base, page

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
    table = assign(recipe, _images(recipe))
    label_of = dict(zip(table["adapter"].to_pylist(), table["label"].to_pylist(), strict=True))
    return np.array([label_of[adapter] for adapter in adapters])


def _selected(shards: list[Shard], rows: np.ndarray) -> Factors:
    """Return the given rows of all shards' adapters, counted through."""
    whole = {
        name: [np.concatenate([shard.factors[name][side] for shard in shards]) for side in (0, 1)]
        for name in shards[0].factors
    }
    return {name: (torch.from_numpy(A[rows]), torch.from_numpy(B[rows])) for name, (A, B) in whole.items()}


def _with_losses(table: pa.Table, trained: Trained) -> pa.Table:
    losses = trained.losses.numpy()
    fifth = -(-losses.shape[1] // 5)
    for name, column in {
        "loss_first": losses[:, :fifth].mean(axis=1),
        "loss_last": losses[:, -fifth:].mean(axis=1),
        "loss_final": losses[:, -1],
    }.items():
        table = table.append_column(name, pa.array(column))
    return table


def _images(recipe: Recipe) -> Images:
    return load_images(recipe.images_source, recipe.fashion_folder)
