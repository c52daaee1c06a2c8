"""The recipe: refusals in one line, and no image in two of base, train, validation and test."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.errors import LorascopeError
from lorascope.zoo.images import load_images
from lorascope.zoo.recipe import Recipe, assign, target_layers

MNIST = load_images("mnist")


def images_of(table, part: str) -> set[int]:
    rows = zip(table["split"].to_pylist(), table["images"].to_pylist(), strict=True)
    return {image for split, images in rows if split == part for image in images}


@given(
    adapters=st.integers(30, 200),
    low=st.integers(1, 8),
    more=st.integers(0, 8),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None)
def test_no_image_serves_two_parts(adapters, low, more, seed):
    recipe = Recipe.from_settings({"adapters": adapters, "images": [low, low + more], "seed": seed})
    table = assign(recipe, MNIST)
    parts = [images_of(table, part) for part in ("train", "validation", "test")]
    parts.append(set(np.flatnonzero(MNIST.for_base).tolist()))
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))
    for label, images in zip(table["label"].to_pylist(), table["images"].to_pylist(), strict=True):
        assert low <= len(images) == len(set(images)) <= low + more
        assert set(MNIST.labels[images]) == {label}


def test_classes_and_parts_are_balanced():
    table = assign(Recipe(), MNIST)
    pairs = list(zip(table["label"].to_pylist(), table["split"].to_pylist(), strict=True))
    for name in "0123456789":
        counts = [pairs.count((name, part)) for part in ("train", "validation", "test")]
        assert counts == [28, 4, 8]


def test_assignment_repeats_and_depends_on_the_seed():
    table = assign(Recipe(), MNIST)
    assert table.equals(assign(Recipe(), MNIST))
    assert not table["images"].equals(assign(Recipe(seed=1), MNIST)["images"])
    assert len(set(table["seed"].to_pylist())) == 400
    assert table["adapter"].to_pylist()[:2] == ["zoo-0000", "zoo-0001"]


def test_assignment_does_not_depend_on_how_adapters_are_trained():
    other = Recipe(steps=3, batch=1, rank=4, block=7, learning_rate=0.1, init="gaussian")
    assert assign(Recipe(), MNIST).equals(assign(other, MNIST))


@pytest.mark.parametrize(("adapters", "block"), [(400, 40), (401, 40), (30, 64), (399, 40)])
def test_blocks_cover_every_adapter_once(adapters, block):
    recipe = Recipe(adapters=adapters, block=block)
    rows = [row for index in range(recipe.blocks) for row in recipe.members(index)]
    assert rows == list(range(adapters))
    with pytest.raises(LorascopeError, match="does not exist"):
        recipe.members(recipe.blocks)


def test_default_zoo_is_large_enough():
    assert Recipe().adapters >= 300
    assert len(Recipe().classes) == 10


def test_target_layers_of_the_default():
    layers = target_layers(Recipe())
    assert len(layers) == 28
    assert sum(layer.d_in + layer.d_out for layer in layers) == 2688
    first = "down_blocks.0.attentions.0.transformer_blocks.0"
    assert layers[0] == (f"{first}.attn1.to_q", 32, 32)
    assert layers[3] == (f"{first}.attn2.to_v", 32, 32)
    assert layers[11] == ("mid_block.attentions.0.transformer_blocks.0.attn2.to_v", 64, 32)
    assert layers[-1].name == "up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_v"


@pytest.mark.parametrize(
    "given_settings",
    [{}, {"images": [1, 3]}, {"base": "train", "base_widths": [16, 32], "base_steps": 5}, {"init": "shared"}],
)
def test_settings_come_back(given_settings):
    recipe = Recipe.from_settings(given_settings)
    assert Recipe.from_settings(recipe.settings()) == recipe
    assert set(recipe.settings()) == {field.name for field in fields(Recipe)}


def test_base_settings_are_those_that_a_base_depends_on():
    assert set(Recipe().base_settings()) == {
        "images_source",
        *(field.name for field in fields(Recipe) if field.name.startswith("base_")),
    }
    assert "fashion_folder" in Recipe(images_source="mnist+fashion").base_settings()
    assert Recipe().base_settings() == Recipe(adapters=500, steps=9, init="gaussian").base_settings()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"adaptors": 300}, "unknown setting 'adaptors'"),
        ({"adapters": "400"}, "adapters: '400' is not a whole number"),
        ({"adapters": True}, "adapters: True"),
        ({"adapters": 29}, "too few for 10 classes"),
        ({"steps": 0}, "steps: 0"),
        ({"steps": 2.0}, "steps: 2.0"),
        ({"rank": -1}, "rank: -1"),
        ({"images": 0}, "images: 0"),
        ({"images": [3, 1]}, "images: "),
        ({"images": [1, 2, 3]}, "images: "),
        ({"images": [1, "2"]}, "images: "),
        ({"init": "zeros"}, "init: 'zeros' is not one of kaiming, gaussian, shared"),
        ({"learning_rate": "fast"}, "learning_rate: 'fast'"),
        ({"learning_rate": float("nan")}, "learning_rate: nan"),
        ({"images_source": 5}, "images_source: 5 is not a text"),
        ({"images_source": "cifar"}, "'cifar' is unknown"),
        ({"base": "mine"}, "base: 'mine'"),
        ({"base_steps": 10}, "base_steps has no effect on the shipped base"),
        ({"base": "train", "base_widths": [30]}, "base_widths: "),
        ({"base": "train", "base_widths": []}, "base_widths: "),
    ],
)
def test_wrong_settings_are_refused_in_one_line(wrong, message):
    with pytest.raises(LorascopeError) as error:
        Recipe.from_settings(wrong)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_more_images_than_there_are_is_an_error():
    with pytest.raises(LorascopeError, match="26 are asked for, but there are only 25 validation images"):
        assign(Recipe(images=26), MNIST)
