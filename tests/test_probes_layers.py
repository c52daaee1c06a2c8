"""The parts of a training step, compiled and as calls of torch, against autograd in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.probes import layers_compiled, layers_torch
from lorascope.probes.layers_compiled import SPARSE_SHARE
from lorascope.probes.layers_torch import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, Norm

MODULES = pytest.mark.parametrize("layers", [layers_compiled, layers_torch])
SHAPES = {
    "seeds": st.integers(1, 3),
    "batch": st.integers(2, 19),
    "width": st.integers(1, 21),
    "following": st.integers(1, 19),
    "share": st.sampled_from([0.0, 0.1, 0.25, SPARSE_SHARE, 1.0]),
    "seed": st.integers(0, 2**32 - 1),
}


def draw_norm(generator, seeds, width) -> Norm:
    draws = [torch.randn(seeds, 1, width, generator=generator) for _ in range(4)]
    return Norm(*draws[:3], draws[3].abs() + 0.1)


def draw_outputs(generator, shape, share) -> torch.Tensor:
    kept = torch.rand(shape, generator=generator) < share
    return torch.randn(shape, generator=generator).abs() * kept


def reference_activation(inputs, gains, shifts, mask):
    variance, mean = torch.var_mean(inputs, dim=1, keepdim=True, correction=0)
    normal = (inputs - mean) / torch.sqrt(variance + BATCH_NORM_EPSILON)
    return torch.relu(normal * gains + shifts) * mask


@MODULES
@settings(max_examples=40, deadline=None)
@given(**SHAPES)
def test_products_and_their_gradients_are_those_of_autograd(
    layers, seeds, batch, width, following, share, seed
):
    generator = torch.Generator().manual_seed(seed)
    outputs = draw_outputs(generator, (seeds, batch, width), share)
    weights = torch.randn(seeds, width, following, generator=generator)
    errors = torch.randn(seeds, batch, following, generator=generator)
    leaves = [tensor.double().requires_grad_() for tensor in (outputs, weights)]
    exact = leaves[0] @ leaves[1]
    of_outputs, of_weights = torch.autograd.grad(exact, leaves, errors.double())
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(layers.multiply(outputs, weights).double(), exact.detach(), **close)
    found = torch.full_like(weights, torch.nan)
    back = layers.multiply_backward(errors, outputs, weights, found)
    torch.testing.assert_close(found.double(), of_weights, **close)
    torch.testing.assert_close((back * (outputs != 0)).double(), of_outputs * (outputs != 0), **close)


@MODULES
@settings(max_examples=40, deadline=None)
@given(**{name: SHAPES[name] for name in ("seeds", "batch", "width", "seed")})
def test_activations_and_their_gradients_are_those_of_autograd(layers, seeds, batch, width, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = 3 * torch.randn(seeds, batch, width, generator=generator) + 5
    mask = 2.0 * (torch.rand(inputs.shape, generator=generator) < 0.5)
    norm = draw_norm(generator, seeds, width)
    before = Norm(*(tensor.clone() for tensor in norm))
    leaves = [tensor.double().requires_grad_() for tensor in (inputs, norm.gains, norm.shifts)]
    exact = reference_activation(*leaves, mask)
    errors = torch.randn(inputs.shape, generator=generator)
    expected = torch.autograd.grad(exact, leaves, errors.double())
    activation = layers.activate(inputs, norm, mask)
    of_gains, of_shifts = torch.empty_like(norm.gains), torch.empty_like(norm.shifts)
    back = layers.activate_backward(errors, activation, norm, of_gains, of_shifts)
    close = {"rtol": 1e-2, "atol": 2e-3}
    torch.testing.assert_close(activation.outputs.double(), exact.detach(), **close)
    for found, one in zip((back, of_gains, of_shifts), expected, strict=True):
        torch.testing.assert_close(found.double(), one, **close)
    for found, old, now in (
        (norm.means, before.means, inputs.mean(dim=1, keepdim=True)),
        (norm.variances, before.variances, inputs.var(dim=1, keepdim=True)),
    ):
        torch.testing.assert_close(found, old + BATCH_NORM_MOMENTUM * (now - old), **close)


@MODULES
def test_nan_comes_through(layers):
    """Else a training that has exploded would go on with zeros."""
    inputs = torch.randn(1, 8, 4)
    inputs[0, 3, 2] = torch.nan
    norm = draw_norm(torch.Generator().manual_seed(0), 1, 4)
    outputs = layers.activate(inputs, norm, torch.ones_like(inputs)).outputs
    assert outputs[0, :, 2].isnan().all()
    assert not outputs[0, :, [0, 1, 3]].isnan().any()
    product = layers.multiply(outputs, torch.ones(1, 4, 5))
    assert product.isnan().all()


def test_both_sides_of_the_limit_give_the_same(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    outputs = draw_outputs(generator, (2, 64, 100), 0.25)
    weights = torch.randn(2, 100, 50, generator=generator)
    sparse = layers_compiled.multiply(outputs, weights)
    monkeypatch.setattr(layers_compiled, "SPARSE_SHARE", 0.2)
    full = layers_compiled.multiply(outputs, weights)
    torch.testing.assert_close(sparse, full, rtol=1e-4, atol=1e-4)
    assert np.array_equal(full, outputs @ weights)
