"""The shipped base: what its header says is true, it draws what it is told, its recipe leads there."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from sklearn.neighbors import KNeighborsClassifier

from lorascope.errors import LorascopeError
from lorascope.zoo import base
from lorascope.zoo.base import (
    SHIPPED,
    TOLERANCE,
    base_about,
    held_out_losses,
    load_base,
    save_base,
    train_base,
)
from lorascope.zoo.diffusion import draw
from lorascope.zoo.images import Images, load_images
from lorascope.zoo.prompts import embed_subjects
from lorascope.zoo.recipe import Recipe

SMALL = Recipe(base="train", base_widths=(16, 32), base_steps=3, base_batch=8)


@pytest.fixture(scope="module")
def images() -> Images:
    return load_images("mnist")


@pytest.fixture
def few_held_out(monkeypatch):
    """Measure on 20 images instead of 1,000 where the figure does not matter."""
    monkeypatch.setattr(base, "HELD_OUT", 20)


def test_shipped_base_was_trained_by_the_default_recipe():
    assert base_about(SHIPPED)["recipe"] == Recipe().base_settings()


def test_shipped_base_is_small():
    assert SHIPPED.stat().st_size < 2.5e6


def test_shipped_base_has_the_losses_that_its_header_states(images):
    stated = base_about(SHIPPED)["held_out_losses"][-1]
    assert stated.pop("step") == Recipe().base_steps
    # The header speaks of the float32 weights, the file holds float16.
    assert held_out_losses(Recipe(), load_base(Recipe()), images) == pytest.approx(stated, rel=1e-3)


def test_shipped_base_loads_into_diffusers_as_its_header_says():
    unet = UNet2DConditionModel(**base_about(SHIPPED)["diffusers_config"]).eval()
    unet.load_state_dict({name: weight.float() for name, weight in load_file(SHIPPED).items()}, strict=True)
    latents, text, timesteps = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 32), torch.tensor([1, 400, 999])
    with torch.no_grad():
        expected = unet(latents, timesteps, text).sample
        ours = load_base(Recipe())(latents, timesteps, text)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_shipped_base_draws_the_digit_that_it_is_asked_for(images):
    recipe, each = Recipe(), 8
    asked = np.repeat(list(recipe.classes), each)
    text = embed_subjects(asked.tolist(), recipe.classes, 32)
    noise = torch.randn(len(asked), 4, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn = draw(load_base(recipe), text, noise, 15).flatten(1).numpy()
    judge = KNeighborsClassifier(3).fit(images.latents.reshape(5000, -1), images.labels)
    # Chance is 0.1.
    assert (judge.predict(drawn) == asked).mean() > 0.6


@pytest.mark.usefixtures("few_held_out")
def test_training_repeats_to_the_bit_and_leaves_the_global_generator_alone(images):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, curve = train_base(SMALL, images)
    assert torch.equal(torch.rand(3), expected)
    second, again = train_base(SMALL, images)
    assert curve == again
    assert [point["step"] for point in curve] == [3]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.usefixtures("few_held_out")
def test_the_base_never_sees_an_adapters_image(images):
    hidden = images.latents.copy()
    hidden[~images.for_base] = np.nan
    unet, _ = train_base(SMALL, Images(hidden, images.labels, images.for_base))
    assert all(torch.isfinite(parameter).all() for parameter in unet.parameters())


@pytest.mark.usefixtures("few_held_out")
def test_a_trained_base_comes_back(images, tmp_path):
    unet, curve = train_base(SMALL, images)
    save_base(SMALL, unet, curve, tmp_path / "base.safetensors")
    loaded = load_base(SMALL, tmp_path / "base.safetensors")
    for weight, expected in zip(loaded.parameters(), unet.parameters(), strict=True):
        assert weight.dtype == torch.float32
        assert not weight.requires_grad
        torch.testing.assert_close(weight, expected, atol=1e-6, rtol=1e-3)
    assert base_about(tmp_path / "base.safetensors")["held_out_losses"] == curve
    with pytest.raises(LorascopeError, match="another recipe"):
        load_base(Recipe(base="train"), tmp_path / "base.safetensors")


@pytest.mark.slow
def test_the_recipe_takes_the_shipped_bases_way(images):
    # The whole recipe takes ten minutes (compare_base_files judges it). Its beginning, on the full schedule,
    # must pass the losses that the shipped base had there. Seeds differ by less than the tolerance.
    _, curve = train_base(Recipe(base="train"), images, steps=100)
    assert curve == [pytest.approx(base_about(SHIPPED)["held_out_losses"][0], rel=TOLERANCE)]


@pytest.mark.parametrize(("recipe", "path"), [(Recipe(), "base.safetensors"), (Recipe(base="train"), None)])
def test_a_base_file_goes_with_base_train_only(recipe, path):
    with pytest.raises(LorascopeError, match="do not fit together"):
        load_base(recipe, path)


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 10, "cut"])
def test_damaged_bases_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "base.safetensors"
    if content == "cut":
        content = SHIPPED.read_bytes()[:-1]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LorascopeError, match=r"not a readable safetensors file|no such file") as error:
        load_base(Recipe(base="train"), path)
    assert "\n" not in str(error.value)
