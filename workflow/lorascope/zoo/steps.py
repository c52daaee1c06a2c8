"""How the zoo is trained, as the command asks for it: settings and paths in, files out."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import torch

from lorascope.computing import DEVICE, computing_versions
from lorascope.errors import LorascopeError
from lorascope.files import write_json, write_table
from lorascope.zoo.base import TOLERANCE, held_out_losses, load_base, save_base, train_base
from lorascope.zoo.images import Images, load_images
from lorascope.zoo.recipe import Recipe, assign
from lorascope.zoo.shards import Shard, write_shard
from lorascope.zoo.train import Trained, train_adapters


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
