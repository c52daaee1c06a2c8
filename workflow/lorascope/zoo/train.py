"""Train a block of adapters at once: the frozen base sees one big batch, each adapter its own part of it."""

from typing import NamedTuple

import torch
from torch import Tensor

from lorascope.zoo.diffusion import TIMESTEPS, denoising_losses
from lorascope.zoo.lora import Factors, draw_down, with_adapters
from lorascope.zoo.optimizer import AdamW
from lorascope.zoo.prompts import SUBJECT, embed_subjects
from lorascope.zoo.recipe import Recipe, target_layers
from lorascope.zoo.unet import UNet


class Draws(NamedTuple):
    """All the randomness of n adapters: A per layer [n, r, d_in], and for each step which of the adapter's
    images [n, steps, batch], which timesteps [n, steps, batch], which noise [n, steps, batch, c, h, w]."""

    A: list[Tensor]
    picks: Tensor
    timesteps: Tensor
    noise: Tensor


class Trained(NamedTuple):
    """``factors`` of n adapters and their training ``losses`` [n, steps]."""

    factors: Factors
    losses: Tensor


def make_draws(
    recipe: Recipe, seeds: list[int], image_counts: list[int], latent_shape: tuple[int, ...]
) -> Draws:
    """Draw everything that an adapter needs from its own seed, so that its block does not matter."""
    layers = target_layers(recipe)
    drawn = []
    for seed, count in zip(seeds, image_counts, strict=True):
        generator = torch.Generator().manual_seed(seed)
        A_generator = torch.Generator().manual_seed(recipe.seed) if recipe.init == "shared" else generator
        A = draw_down(layers, recipe.rank, recipe.init, A_generator)
        shape = (recipe.steps, recipe.batch)
        picks = torch.randint(count, shape, generator=generator)
        timesteps = torch.randint(TIMESTEPS, shape, generator=generator)
        drawn.append((A, picks, timesteps, torch.randn(*shape, *latent_shape, generator=generator)))
    A_lists, picks, timesteps, noise = zip(*drawn, strict=True)
    stacked_A = [torch.stack(per_layer) for per_layer in zip(*A_lists, strict=True)]
    return Draws(stacked_A, torch.stack(picks), torch.stack(timesteps), torch.stack(noise))


def train_adapters(recipe: Recipe, base: UNet, image_sets: list[Tensor], seeds: list[int]) -> Trained:
    """Train one adapter for each set of latents [images, c, h, w], from its seed.

    The losses are summed over the adapters, so no gradient of one adapter meets another: the result is that
    of training them one at a time, up to rounding.
    """
    torch.set_num_threads(1)
    draws = make_draws(recipe, seeds, [len(images) for images in image_sets], tuple(image_sets[0].shape[1:]))
    latents = torch.stack([images[picks] for images, picks in zip(image_sets, draws.picks, strict=True)])
    factors = _new_factors(recipe, draws)
    unet = with_adapters(base, factors)
    optimizer = AdamW([matrix for pair in factors.values() for matrix in pair], recipe.weight_decay)
    text = embed_subjects([SUBJECT], recipe.classes, recipe.architecture.text_width)
    text = text.expand(len(seeds) * recipe.batch, -1, -1)
    losses = []
    for step in range(recipe.steps):
        batch = [tensor[:, step].flatten(0, 1) for tensor in (latents, draws.noise, draws.timesteps)]
        loss = denoising_losses(unet, batch[0], text, *batch[1:]).view(len(seeds), recipe.batch).mean(dim=1)
        loss.sum().backward()
        optimizer.step(recipe.learning_rate)
        losses.append(loss.detach())
    trained = {name: (A.detach(), B.detach()) for name, (A, B) in factors.items()}
    return Trained(trained, torch.stack(losses, dim=1))


def _new_factors(recipe: Recipe, draws: Draws) -> Factors:
    """Pair the drawn A's with B's of zeros, so that an adapter starts as no change at all."""
    return {
        layer.name: (A.requires_grad_(), torch.zeros(len(A), layer.d_out, recipe.rank, requires_grad=True))
        for layer, A in zip(target_layers(recipe), draws.A, strict=True)
    }
