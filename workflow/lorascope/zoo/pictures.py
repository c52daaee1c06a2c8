"""The zoo's picture: what the base draws, and what adapters make of the same noise and the same prompt."""

import io

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lorascope.zoo.diffusion import Denoiser, draw
from lorascope.zoo.images import LATENT_SHAPE, SIDE, unfold
from lorascope.zoo.lora import Factors, with_adapters
from lorascope.zoo.prompts import SUBJECT, embed_subjects
from lorascope.zoo.recipe import Recipe
from lorascope.zoo.unet import UNet

DRAWS = 8
SAMPLING_STEPS = 20
NOISE_SEED = 0
AMPLIFIED = 3
GAP = 6  # pixels between classes
CELL_INCHES = 0.36


def draw_base(recipe: Recipe, base: UNet) -> np.ndarray:
    """Return pictures [draws, 16, 16] of the base from the common noise."""
    return _draw(recipe, base, 1)[0]


def draw_adapters(recipe: Recipe, base: UNet, factors: Factors, strength: float = 1) -> np.ndarray:
    """Return pictures [n, draws, 16, 16] of n adapters from the common noise.

    ``strength`` multiplies what an adapter changes in the predicted noise: 1 is the adapter as it was
    trained, more is guidance away from the base, as in Ho & Salimans 2022 (arXiv:2207.12598).
    """
    adapted = with_adapters(base, factors)

    def denoise(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        own = base(latents, timesteps, text)
        return own + strength * (adapted(latents, timesteps, text) - own)

    count = len(next(iter(factors.values()))[0])
    return _draw(recipe, adapted if strength == 1 else denoise, count)


def _draw(recipe: Recipe, denoiser: Denoiser, adapters: int) -> np.ndarray:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(NOISE_SEED)
    noise = torch.randn(DRAWS, *LATENT_SHAPE, generator=generator).repeat(adapters, 1, 1, 1)
    text = embed_subjects([SUBJECT], recipe.classes, recipe.architecture.text_width)
    latents = draw(denoiser, text.expand(len(noise), -1, -1), noise, SAMPLING_STEPS)
    return unfold(latents.numpy()).reshape(adapters, DRAWS, SIDE, SIDE)


def page(base: np.ndarray, trained: dict[str, np.ndarray], amplified: dict[str, np.ndarray]) -> bytes:
    """Lay out what was drawn as PNG bytes: adapters as trained on the left, amplified on the right.

    Args:
        base: [draws, 16, 16].
        trained, amplified: class name → pictures [adapters, draws, 16, 16] of the same adapters.
    """
    rows = 1 + sum(len(stack) for stack in trained.values())
    size = (2 * (DRAWS + 1.5) * CELL_INCHES, (rows + 4) * CELL_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, {"base": base[None], **trained}, "adapters as trained")
    _panel(right, {"base": base[None], **amplified}, f"difference from the base × {AMPLIFIED}")
    figure.suptitle("Same noise, same prompt; rows: class of the adapter", fontsize=10)
    buffer = io.BytesIO()
    # Without the Software entry the bytes do not hold matplotlib's version.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Axes, stacks: dict[str, np.ndarray], title: str) -> None:
    """Show each stack [rows, draws, 16, 16] as a mosaic, one below the other, dark ink on light paper."""
    bands, centres, top = [], [], 0
    for stack in stacks.values():
        mosaic = stack.transpose(0, 2, 1, 3).reshape(len(stack) * SIDE, -1)
        centres.append(top + len(mosaic) / 2)
        bands.append(np.pad(mosaic, ((0, GAP), (0, 0)), constant_values=-1))
        top += len(bands[-1])
    axes.imshow(np.concatenate(bands)[:-GAP], cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_yticks(centres, list(stacks))
    axes.set_xticks([])
