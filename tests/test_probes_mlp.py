"""The seed-batched MLP against torch.nn and torch.optim, and the promises that it makes."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from lorascope.errors import LorascopeError
from lorascope.probes import layers_compiled, layers_torch, mlp
from lorascope.probes import network as networks
from lorascope.probes.metrics import cross_entropy
from lorascope.probes.mlp import MLPSettings, train_mlp
from lorascope.probes.runs import Part

SMALL = MLPSettings(hidden=(16, 12), batch=16, epochs=6)


def blobs(n_train=70, features=8, classes=3, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (classes, features))
    parts = {}
    for name, n in {"train": n_train, "validation": 24, "test": 30}.items():
        own = np.arange(n) % classes
        parts[name] = Part((centres[own] + spread * rng.normal(size=(n, features))).astype(np.float32), own)
    return parts


class Masked(nn.Module):
    """Dropout by a mask that is set from outside."""

    def forward(self, x):
        return x * self.mask if self.training else x


def reference_network(network: networks.Network, widths: list[int]) -> nn.Sequential:
    """Return the same network as torch.nn modules with the weights of the first seed."""
    layers = []
    for weight, (fan_in, width) in zip(network.weights, pairwise(widths[:-1]), strict=False):
        linear = nn.Linear(fan_in, width, bias=False)
        linear.weight.data = weight[0].detach().T.clone()
        layers += [linear, nn.BatchNorm1d(width), nn.ReLU(), Masked()]
    last = nn.Linear(*widths[-2:])
    last.weight.data = network.weights[-1][0].detach().T.clone()
    last.bias.data = network.bias[0, 0].detach().clone()
    return nn.Sequential(*layers, last)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_training_equals_torch_modules_and_torch_adam(dropout):
    """The same batches and dropout masks give the same losses and answers, step by step."""
    torch.manual_seed(0)
    settings = MLPSettings(hidden=(16, 12), dropout=dropout, learning_rate=0.01, weight_decay=0.1)
    parts = blobs()
    data = {name: (torch.from_numpy(p.features), torch.from_numpy(p.classes)) for name, p in parts.items()}
    ours = mlp.Training(data, 3, settings, [7], "cpu")
    reference = reference_network(ours.network, [8, 16, 12, 3])
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, weight_decay=0.1)
    x, classes = data["train"]
    for start in [*range(0, 60, 12)] * 3:
        rows = slice(start, start + 12)
        masks = ours._dropout_masks(12)
        for module, mask in zip([m for m in reference if isinstance(m, Masked)], masks, strict=True):
            module.mask = mask[0]
        loss = nn.functional.cross_entropy(reference(x[rows]), classes[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        (own,) = ours.network.training_step(x[None, rows], classes[None, rows], masks)
        ours._move()
        assert own.mean().item() == pytest.approx(loss.item(), rel=1e-4)
    reference.eval()
    np.testing.assert_allclose(
        ours.network.inference_pass(data["test"][0])[0],
        reference(data["test"][0]).detach(),
        rtol=2e-3,
        atol=2e-3,
    )


@pytest.mark.parametrize("layers", [layers_compiled, layers_torch])
def test_gradients_are_those_of_autograd(layers):
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    network = networks.Network([9, 16, 12, 4], generators, "cpu")
    network.layers = layers
    x = torch.randn(2, 10, 9)
    classes = torch.randint(4, (2, 10))
    masks = [
        torch.stack([networks.draw_dropout_mask((10, width), 0.4, g) for g in generators])
        for width in (16, 12)
    ]
    losses = network.training_step(x, classes, masks)
    parameters = [parameter.clone().requires_grad_() for parameter in network.parameters()]
    weights, gains, shifts, bias = parameters[:3], parameters[3:5], parameters[5:7], parameters[7]
    for weight, gain, shift, mask in zip(weights, gains, shifts, masks, strict=False):
        z = x @ weight
        variance, mean = torch.var_mean(z, dim=1, keepdim=True, correction=0)
        x = torch.relu((z - mean) / torch.sqrt(variance + 1e-5) * gain + shift) * mask
    expected = nn.functional.cross_entropy(
        (x @ weights[-1] + bias).transpose(1, 2), classes, reduction="none"
    )
    torch.testing.assert_close(losses, expected.detach())
    for found, exact in zip(
        network.gradients, torch.autograd.grad(expected.mean(dim=1).sum(), parameters), strict=True
    ):
        torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-6)


def test_initial_weights_are_drawn_as_torch_linear_draws_them():
    generator = torch.Generator().manual_seed(0)
    drawn = networks.draw_uniform((400, 300), 400, [generator], "cpu")[0]
    reference = nn.Linear(400, 300).weight
    assert drawn.abs().max() <= 1 / 20
    assert drawn.std().item() == pytest.approx(reference.std().item(), rel=0.02)


def test_dropout_keeps_the_stated_share_and_the_expected_value():
    training = mlp.Training(_tensors(blobs()), 3, MLPSettings(hidden=(2000,), dropout=0.3), [1, 2], "cpu")
    (masks,) = training._dropout_masks(50)
    assert masks.shape == (2, 50, 2000)
    assert (masks > 0).float().mean().item() == pytest.approx(0.7, abs=0.01)
    assert masks.mean().item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(masks[0], masks[1])


def _tensors(parts):
    return {name: (torch.from_numpy(p.features), torch.from_numpy(p.classes)) for name, p in parts.items()}


def test_a_seed_does_not_depend_on_its_company():
    alone = {run.seed: run for seed in (1, 2, 3) for run in train_mlp(blobs(), 3, SMALL, [seed])}
    together = {run.seed: run for run in train_mlp(blobs(), 3, SMALL, [3, 1, 2])}
    for seed, run in alone.items():
        assert run.validation_accuracy == together[seed].validation_accuracy
        assert run.train_loss == together[seed].train_loss
        for part, values in run.log_probabilities.items():
            assert np.array_equal(values, together[seed].log_probabilities[part])


def test_side_by_side_as_on_a_gpu_equals_one_after_the_other():
    """The path that a GPU takes, run on the CPU."""
    parts = _tensors(blobs())
    training = mlp.Training(parts, 3, SMALL, [1, 2, 3], "cpu")
    training.network.layers = layers_torch
    batched = training.finish()
    looped = [mlp.Training(parts, 3, SMALL, [seed], "cpu").finish()[0] for seed in (1, 2, 3)]
    for one, other in zip(batched, looped, strict=True):
        assert one.best_epoch == other.best_epoch
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-4)
        np.testing.assert_allclose(
            one.log_probabilities["test"], other.log_probabilities["test"], rtol=1e-3, atol=1e-4
        )


def test_a_seed_that_stops_early_leaves_the_batch_and_the_others_as_they_are():
    parts = _tensors(blobs(spread=2.0))
    settings = dataclasses.replace(SMALL, epochs=60, stop_patience=4)
    batched = mlp.Training(parts, 3, settings, [1, 2, 3, 4], "cpu").finish()
    assert [run.seed for run in batched] == [1, 2, 3, 4]
    assert len({run.epochs for run in batched}) > 1
    for run in batched:
        (alone,) = mlp.Training(parts, 3, settings, [run.seed], "cpu").finish()
        assert (run.epochs, run.best_epoch) == (alone.epochs, alone.best_epoch)
        np.testing.assert_allclose(run.train_loss, alone.train_loss, rtol=1e-3)
        for name, array in alone.state.items():
            np.testing.assert_allclose(run.state[name], array, rtol=1e-2, atol=1e-3)


def test_threads_do_not_change_a_bit():
    settings = dataclasses.replace(SMALL, hidden=(64, 64))
    parts = blobs(features=700)
    before = torch.get_num_threads()
    one = list(train_mlp(parts, 3, settings, [5, 6, 7], threads=1))
    two = list(train_mlp(parts, 3, settings, [5, 6, 7], threads=2))
    for run, other in zip(one, two, strict=True):
        assert run.seed == other.seed
        assert run.train_loss == other.train_loss
        assert np.array_equal(run.log_probabilities["test"], other.log_probabilities["test"])
    assert torch.get_num_threads() == before


def test_the_weights_of_the_best_epoch_are_restored_and_copied():
    run = next(train_mlp(blobs(spread=2.5), 3, dataclasses.replace(SMALL, epochs=40), [0]))
    validation = blobs(spread=2.5)["validation"]
    scores = run.log_probabilities["validation"]
    kept = run.best_epoch - 1
    assert (scores.argmax(axis=1) == validation.classes).mean() == max(run.validation_accuracy)
    assert cross_entropy(scores, validation.classes) == pytest.approx(run.validation_loss[kept], rel=1e-5)
    assert run.best_epoch < run.epochs  # else this test says nothing about restoring


def test_among_equally_accurate_epochs_the_one_with_the_least_loss_is_kept():
    """Classes so far apart that nearly every epoch names all validation adapters."""
    parts = blobs(n_train=300, spread=0.2)
    run = next(train_mlp(parts, 3, dataclasses.replace(SMALL, epochs=30), [0]))
    best = [
        loss
        for loss, accuracy in zip(run.validation_loss, run.validation_accuracy, strict=True)
        if accuracy == max(run.validation_accuracy)
    ]
    first = run.validation_accuracy.index(max(run.validation_accuracy))
    assert run.validation_loss[run.best_epoch - 1] == min(best)
    assert run.best_epoch - 1 > first
    # A lower loss alone is no progress: the training ends as if the first of them had been kept.
    assert run.epochs == first + 1 + SMALL.stop_patience


def test_stops_after_the_patience_and_not_before():
    settings = dataclasses.replace(SMALL, epochs=300, stop_patience=4)
    run = next(train_mlp(blobs(), 3, settings, [0]))
    assert run.epochs == run.validation_accuracy.index(max(run.validation_accuracy)) + 1 + 4


def test_the_optimizer_moves_at_the_step_size_of_the_schedule(monkeypatch):
    settings = dataclasses.replace(SMALL, lr_patience=1)
    training = mlp.Training(_tensors(blobs()), 3, settings, [0], "cpu")
    rates = []
    monkeypatch.setattr(training.adam, "step", lambda _, found: rates.append(*found))
    for _ in range(3):  # nothing moves, so that no epoch is better than the first
        training._judge_epoch(training._train_epoch(), 0.0)
    training._train_epoch()
    steps = len(rates) // 4
    assert rates == [settings.learning_rate] * 3 * steps + [settings.learning_rate / 2] * steps


def test_learns_what_can_be_learnt():
    run = next(train_mlp(blobs(n_train=300, spread=0.3), 3, dataclasses.replace(SMALL, epochs=30), [0]))
    predicted = run.log_probabilities["test"].argmax(axis=1)
    assert (predicted == blobs(n_train=300, spread=0.3)["test"].classes).mean() > 0.9


def test_a_last_batch_of_one_is_left_out_instead_of_failing():
    run = next(train_mlp(blobs(n_train=17), 3, dataclasses.replace(SMALL, batch=16, epochs=2), [0]))
    assert np.isfinite(run.train_loss).all()


def test_one_training_adapter_is_refused():
    with pytest.raises(LorascopeError, match="at least two adapters"):
        next(train_mlp(blobs(n_train=1), 3, SMALL, [0]))


def test_a_loss_that_explodes_is_an_error_that_names_the_seed():
    parts = blobs()
    parts["train"].features[0, 0] = np.inf
    with pytest.raises(LorascopeError, match="seed 4: the loss is not finite in epoch 1"):
        next(train_mlp(parts, 3, SMALL, [4]))


@pytest.mark.gpu
def test_gpu_agrees_with_cpu_in_what_it_learns():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    parts = blobs(n_train=300, spread=0.3)
    settings = dataclasses.replace(SMALL, epochs=30)
    for run in train_mlp(parts, 3, settings, [0, 1, 2], "cuda"):
        assert (run.log_probabilities["test"].argmax(axis=1) == parts["test"].classes).mean() > 0.9
