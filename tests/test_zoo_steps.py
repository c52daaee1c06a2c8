"""The steps as the command calls them: files in place, the same bytes whatever the threads."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from lorascope.errors import LorascopeError
from lorascope.files import read_json, read_metadata, read_table
from lorascope.zoo import base, pictures
from lorascope.zoo.base import SHIPPED, load_base, save_base
from lorascope.zoo.images import load_images
from lorascope.zoo.recipe import Recipe, assign
from lorascope.zoo.samples import draw_samples
from lorascope.zoo.shards import read_shard
from lorascope.zoo.steps import compare_base_files, train_base_file, train_block_files

SETTINGS = {
    "adapters": 32,
    "block": 20,
    "steps": 6,
    "images": [2, 5],
    "base": "train",
    "base_widths": [16, 32],
    "base_steps": 2,
    "base_batch": 8,
}


def build(folder: Path, settings: dict) -> list[Path]:
    """Run all steps; return the files in a fixed order."""
    with pytest.MonkeyPatch.context() as patch:
        # The tests are about files: a shorter sampler and fewer held-out images write the same ones.
        patch.setattr(pictures, "SAMPLING_STEPS", 3)
        patch.setattr(base, "HELD_OUT", 20)
        _run_all(folder, settings)
    return sorted(folder.iterdir())


def _run_all(folder: Path, settings: dict) -> None:
    train_base_file(settings, folder / "base.safetensors")
    for block in range(Recipe.from_settings(settings).blocks):
        stem = folder / f"adapters-{block:04d}"
        shard, table = stem.with_suffix(".safetensors"), stem.with_suffix(".parquet")
        train_block_files(settings, block, folder / "base.safetensors", shard, table)
    shards = sorted(folder.glob("adapters-*.safetensors"))
    draw_samples(settings, folder / "base.safetensors", shards, folder / "a.png")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    build(folder, SETTINGS)
    return folder


def test_the_files_are_there_and_nothing_else(zoo):
    assert [path.name for path in sorted(zoo.iterdir())] == [
        "a.png",
        "adapters-0000.parquet",
        "adapters-0000.safetensors",
        "adapters-0001.parquet",
        "adapters-0001.safetensors",
        "base.safetensors",
    ]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_bytes_repeat_with_one_thread_or_two(zoo, tmp_path, threads):
    torch.set_num_threads(threads)
    for path in build(tmp_path, SETTINGS):
        assert path.read_bytes() == (zoo / path.name).read_bytes(), path.name


def test_tables_and_shards_tell_the_same_story(zoo):
    recipe = Recipe.from_settings(SETTINGS)
    expected = assign(recipe, load_images("mnist"))
    for block, rows in ((0, range(20)), (1, range(20, 32))):
        stem = zoo / f"adapters-{block:04d}"
        table, shard = read_table(stem.with_suffix(".parquet")), read_shard(stem.with_suffix(".safetensors"))
        assert (
            table.select(expected.column_names).to_pylist()
            == expected.slice(rows.start, len(rows)).to_pylist()
        )
        assert shard.adapters == table["adapter"].to_pylist()
        assert shard.recipe == read_metadata(stem.with_suffix(".parquet"))["recipe"] == recipe.settings()
        assert (shard.rank, shard.alpha) == (1, 1)
        for name in ("loss_first", "loss_last", "loss_final"):
            assert np.isfinite(table[name].to_numpy()).all()


def test_an_adapter_does_not_depend_on_its_block(zoo, tmp_path):
    settings = {**SETTINGS, "block": 7}
    for block in (2, 3):  # adapters 14 to 27, on both sides of the border at 20
        train_block_files(
            settings, block, zoo / "base.safetensors", tmp_path / f"{block}", tmp_path / "table"
        )
    ours = [read_shard(tmp_path / "2"), read_shard(tmp_path / "3")]
    theirs = [read_shard(zoo / "adapters-0000.safetensors"), read_shard(zoo / "adapters-0001.safetensors")]
    assert ours[0].adapters + ours[1].adapters == theirs[0].adapters[14:] + theirs[1].adapters[:8]
    for layer in ours[0].factors:
        for side in (0, 1):
            got = np.concatenate([shard.factors[layer][side] for shard in ours])
            expected = np.concatenate([shard.factors[layer][side] for shard in theirs])[14:28]
            np.testing.assert_allclose(got, expected, atol=2e-5)


def test_diverged_training_is_an_error_and_leaves_no_file(zoo, tmp_path):
    recipe = Recipe.from_settings(SETTINGS)
    unet = load_base(recipe, zoo / "base.safetensors")
    unet.conv_out.bias.data.fill_(float("inf"))
    save_base(recipe, unet, [], tmp_path / "base.safetensors")
    with pytest.raises(LorascopeError, match="diverged in block 0"):
        train_block_files(SETTINGS, 0, tmp_path / "base.safetensors", tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["base.safetensors"]


def test_the_picture_has_ink_in_both_panels(zoo):
    pixels = imread(io.BytesIO((zoo / "a.png").read_bytes()))[..., :3].mean(axis=2)
    assert min(pixels.shape) > 300
    for half in np.array_split(pixels, 2, axis=1):
        assert 0.02 < (half < 0.5).mean() < 0.9


def test_the_shipped_base_is_as_good_as_itself(tmp_path):
    comparison = compare_base_files(SHIPPED, tmp_path / "comparison.json")
    assert comparison["as_good"] is True
    assert comparison["rebuilt"] == comparison["shipped"]
    assert read_json(tmp_path / "comparison.json") == comparison


def test_a_worse_base_is_found_out(tmp_path):
    recipe, generator = Recipe(base="train"), torch.Generator().manual_seed(0)
    unet = load_base(Recipe())
    for weight in unet.parameters():
        weight.data += 0.1 * weight.std() * torch.randn(weight.shape, generator=generator)
    save_base(recipe, unet, [], tmp_path / "base.safetensors")
    assert compare_base_files(tmp_path / "base.safetensors", tmp_path / "c.json")["as_good"] is False
