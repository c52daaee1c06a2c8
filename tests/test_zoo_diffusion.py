"""Noise schedule and sampler against diffusers' schedulers, the optimizer against torch's."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from scipy.linalg import hadamard

from lorascope.zoo.diffusion import TIMESTEPS, denoising_losses, draw, signal_shares
from lorascope.zoo.optimizer import AdamW
from lorascope.zoo.prompts import GENERIC, SUBJECT, embed_subjects


def toy_denoiser(latents, timesteps, text):
    return torch.tanh(latents * 0.7 + timesteps[:, None, None, None] / TIMESTEPS + text.mean())


def test_schedule_is_diffusers():
    expected = DDPMScheduler(num_train_timesteps=TIMESTEPS, beta_start=1e-4, beta_end=0.02).alphas_cumprod
    torch.testing.assert_close(signal_shares(), expected, atol=1e-6, rtol=1e-4)


def test_losses_are_the_mean_squared_error_of_diffusers_noisy_latents():
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 6, 4, 8, 8, generator=generator)
    text, timesteps = torch.randn(6, 4, 32, generator=generator), torch.tensor([0, 1, 10, 500, 998, 999])
    noisy = DDPMScheduler().add_noise(latents, noise, timesteps)
    expected = (toy_denoiser(noisy, timesteps, text) - noise).square().flatten(1).mean(1)
    losses = denoising_losses(toy_denoiser, latents, text, noise, timesteps)
    torch.testing.assert_close(losses, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_sampler_is_diffusers_ddim(steps):
    generator = torch.Generator().manual_seed(0)
    noise, text = torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 4, 32, generator=generator)
    scheduler = DDIMScheduler(timestep_spacing="linspace", set_alpha_to_one=True, clip_sample=True)
    scheduler.set_timesteps(steps)
    times = torch.linspace(TIMESTEPS - 1, 0, steps).round().long()
    x = noise
    for time, after in zip(times.tolist(), [*times[1:].tolist(), -1], strict=True):
        # diffusers derives the following timestep from an even spacing, ours is the list's next entry.
        scheduler.num_inference_steps = 1
        scheduler.config.num_train_timesteps = time - after
        error = toy_denoiser(x, torch.full((3,), time), text)
        x = scheduler.step(error, time, x, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(draw(toy_denoiser, text, noise, steps), x, atol=1e-4, rtol=1e-4)


def test_sampler_finds_the_only_image_that_there_is():
    image = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def knows_the_image(latents, timesteps, text):
        share = signal_shares()[timesteps][:, None, None, None]
        return (latents - share.sqrt() * image) / (1 - share).sqrt()

    noise = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    drawn = draw(knows_the_image, torch.zeros(5, 4, 32), noise, 10)
    torch.testing.assert_close(drawn, image.expand(5, -1, -1, -1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_optimizer_is_torchs(weight_decay):
    torch.manual_seed(0)
    start = [torch.randn(3, 4), torch.randn(5)]
    ours, theirs = ([p.clone().requires_grad_() for p in start] for _ in range(2))
    optimizer = AdamW(ours, weight_decay)
    reference = torch.optim.AdamW(theirs, lr=1.0, weight_decay=weight_decay)
    for step in range(20):
        rate = 0.1 / (1 + step)
        for parameters in (ours, theirs):
            sum(((p - 1) ** 4).sum() for p in parameters).backward()
        optimizer.step(rate)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        reference.zero_grad()
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad is None
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_words_are_orthogonal_and_prompts_differ_only_in_the_subject():
    classes = tuple("0123456789")
    prompts = embed_subjects([SUBJECT, GENERIC, *classes], classes, 32)
    assert prompts.shape == (12, 4, 32)
    assert (prompts[:, :3] == prompts[0, :3]).all()
    words = torch.cat([prompts[0, :3], prompts[:, 3]])
    torch.testing.assert_close(words @ words.T, 32 * torch.eye(15))
    assert words.tolist() == hadamard(32)[:15].tolist()
