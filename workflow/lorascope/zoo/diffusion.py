"""Denoising diffusion: the noise schedule, the training loss, a deterministic sampler."""

from collections.abc import Callable

import torch
from torch import Tensor

TIMESTEPS = 1000

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Latents [n, c, h, w], timesteps [n] and text [n, words, width] to the predicted noise [n, c, h, w]."""


def signal_shares() -> Tensor:
    """Share of the signal's variance left at each timestep: ᾱ [1000] (Ho et al. 2020, arXiv:2006.11239)."""
    betas = torch.linspace(1e-4, 0.02, TIMESTEPS, dtype=torch.float64)
    return torch.cumprod(1 - betas, dim=0).float()


def denoising_losses(
    denoiser: Denoiser, latents: Tensor, text: Tensor, noise: Tensor, timesteps: Tensor
) -> Tensor:
    """Mean squared error of the predicted noise, one number per latent: [n, c, h, w] → [n]."""
    share = signal_shares()[timesteps][:, None, None, None]
    noisy = share.sqrt() * latents + (1 - share).sqrt() * noise
    return (denoiser(noisy, timesteps, text) - noise).square().mean(dim=(1, 2, 3))


@torch.no_grad()
def draw(denoiser: Denoiser, text: Tensor, noise: Tensor, steps: int) -> Tensor:
    """Turn ``noise`` [n, c, h, w] into samples by DDIM with η = 0 (Song et al. 2021, arXiv:2010.02502).

    The clean estimate is clipped to [-1, 1], where all images of the zoo lie.
    """
    shares = signal_shares()
    times = torch.linspace(TIMESTEPS - 1, 0, steps).round().long()
    x = noise
    for i, time in enumerate(times):
        share = shares[time]
        following = shares[times[i + 1]] if i + 1 < steps else torch.ones(())
        error = denoiser(x, time.expand(len(x)), text)
        clean = ((x - (1 - share).sqrt() * error) / share.sqrt()).clamp(-1, 1)
        # The noise that belongs to the clipped estimate, else clipping would leave the trajectory.
        error = (x - share.sqrt() * clean) / (1 - share).sqrt()
        x = following.sqrt() * clean + (1 - following).sqrt() * error
    return x
