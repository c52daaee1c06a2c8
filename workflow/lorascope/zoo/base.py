"""The frozen base: how it is trained, measured, stored and loaded."""

import logging
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lorascope.errors import LorascopeError
from lorascope.tensor_files import read_tensors, write_tensors
from lorascope.zoo.diffusion import TIMESTEPS, denoising_losses
from lorascope.zoo.images import LATENT_SHAPE, Images
from lorascope.zoo.optimizer import AdamW
from lorascope.zoo.prompts import GENERIC, embed_subjects
from lorascope.zoo.recipe import Recipe
from lorascope.zoo.unet import UNet

SHIPPED = Path(__file__).parent / "base.safetensors"
WARM_UP = 50
CHECK_EVERY = 100
HELD_OUT = 1000
TOLERANCE = 0.05

logger = logging.getLogger(__name__)


class Prompts:
    """Embeddings of the base's prompts: the generic one and one for each class."""

    def __init__(self, recipe: Recipe, labels: np.ndarray) -> None:
        subjects = [GENERIC, *recipe.classes]
        self.rows = embed_subjects(subjects, recipe.classes, recipe.architecture.text_width)
        self.row_of_image = torch.tensor([subjects.index(label) for label in labels])

    def of_class(self, images: Tensor) -> Tensor:
        return self.rows[self.row_of_image[images]]

    def generic(self, images: Tensor) -> Tensor:
        return self.rows[torch.zeros_like(images)]


def train_base(recipe: Recipe, images: Images, steps: int | None = None) -> tuple[UNet, list[dict]]:
    """Train the base on its half of ``images``; return it and its held-out losses every 100 steps.

    Half of a batch has its class in the prompt, the other half the generic prompt. The learning rate rises
    over 50 steps, then falls along a cosine. With ``steps`` the training stops there, on the same schedule:
    the beginning of the whole one.
    """
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(recipe.base_seed)
    unet = _new_unet(recipe)
    optimizer = AdamW(list(unet.parameters()), recipe.base_weight_decay)
    latents, own = torch.from_numpy(images.latents), torch.from_numpy(np.flatnonzero(images.for_base))
    prompts, half = Prompts(recipe, images.labels), recipe.base_batch // 2
    curve = []
    last = recipe.base_steps if steps is None else min(steps, recipe.base_steps)
    for step in range(1, last + 1):
        batch = own[torch.randint(len(own), (recipe.base_batch,), generator=generator)]
        text = torch.cat([prompts.of_class(batch[:half]), prompts.generic(batch[half:])])
        noise = torch.randn(len(batch), *LATENT_SHAPE, generator=generator)
        timesteps = torch.randint(TIMESTEPS, (len(batch),), generator=generator)
        denoising_losses(unet, latents[batch], text, noise, timesteps).mean().backward()
        optimizer.step(_learning_rate(recipe, step))
        if step % CHECK_EVERY == 0 or step == last:
            curve.append({"step": step, **held_out_losses(recipe, unet, images)})
            logger.info(
                "base: step %d of %d, held-out loss %.4f", step, recipe.base_steps, curve[-1]["class"]
            )
    return unet, curve


def _new_unet(recipe: Recipe) -> UNet:
    # fork_rng: layers draw their start from the global generator, which belongs to the caller.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.base_seed)
        return UNet(recipe.architecture)


def _learning_rate(recipe: Recipe, step: int) -> float:
    warm_up = min(1.0, step / WARM_UP)
    return recipe.base_learning_rate * warm_up * (1 + math.cos(math.pi * (step - 1) / recipe.base_steps)) / 2


@torch.no_grad()
def held_out_losses(recipe: Recipe, unet: UNet, images: Images) -> dict[str, float]:
    """Mean denoising loss on images that the base never saw: ``class`` in the prompt, and ``generic`` prompt.

    Images, noise and the 1,000 timesteps are the same whenever it is called, so two bases compare paired.
    """
    torch.set_num_threads(1)
    unseen = np.flatnonzero(~images.for_base)
    chosen = torch.from_numpy(unseen[np.linspace(0, len(unseen) - 1, HELD_OUT).astype(int)])
    latents, prompts = torch.from_numpy(images.latents)[chosen], Prompts(recipe, images.labels)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(latents.shape, generator=generator)
    # Images are sorted by class in some sources: shuffled timesteps give every class all of them.
    timesteps = torch.randperm(TIMESTEPS, generator=generator)[:HELD_OUT]
    texts = {"class": prompts.of_class(chosen), "generic": prompts.generic(chosen)}
    return {
        kind: denoising_losses(unet, latents, text, noise, timesteps).mean().item()
        for kind, text in texts.items()
    }


def save_base(recipe: Recipe, unet: UNet, curve: list[dict], path: str | Path) -> None:
    """Write the weights as float16, which halves the file, with recipe and held-out losses in the header."""
    about = {
        "recipe": recipe.base_settings(),
        "held_out_losses": curve,
        "diffusers_config": recipe.architecture.diffusers_config(LATENT_SHAPE[-1]),
    }
    write_tensors(path, {name: weight.half().numpy() for name, weight in unet.state_dict().items()}, about)


def base_about(path: str | Path) -> dict:
    """Return what :func:`save_base` stored beside the weights: recipe, held-out losses, diffusers' config."""
    return _open(path)[1]


def load_base(recipe: Recipe, path: str | Path | None = None) -> UNet:
    """Load the base of ``recipe`` as float32: the shipped one, or the one trained into ``path``.

    Raises:
        LorascopeError: ``path`` is missing or surplus, unreadable, or was trained by another recipe.
    """
    if (path is None) != (recipe.base == "shipped"):
        raise LorascopeError(f"zoo: base: {recipe.base} and base file {path} do not fit together")
    weights, about = _open(path or SHIPPED)
    if path is not None and about["recipe"] != recipe.base_settings():
        raise LorascopeError(f"{path}: trained by another recipe; delete it and run again")
    unet = _new_unet(recipe)
    unet.load_state_dict(weights)
    return unet.requires_grad_(False)


def _open(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    about, arrays = read_tensors(path)
    if about is None:
        raise LorascopeError(f"{path}: its header lacks 'lorascope', so it is no base of a zoo")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, about
