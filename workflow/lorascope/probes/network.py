"""The network of the probe `mlp`, with a leading seed dimension and its gradient written out.

Written out, because at the size of a probe autograd's bookkeeping and its many small results cost as much as
half of the matrix products; because on a CPU most of these can be left out (layers_compiled); and because a
step of fixed buffers can be captured as a CUDA graph.
"""

import math
from collections.abc import Sequence
from copy import copy
from itertools import pairwise

import torch
from torch import Tensor

from lorascope.probes import layers_compiled, layers_torch
from lorascope.probes.layers_torch import BATCH_NORM_EPSILON, Activation, Norm

_LISTS = ("weights", "gains", "shifts", "means", "variances", "gradients")


class Network:
    """[linear, batch norm, ReLU, dropout] per hidden width, then linear to the classes, for every seed.

    The linear layers before a batch norm have no bias: the norm would take it out again.

    Attributes:
        weights: float32 [seeds, fan in, fan out] of each linear layer.
        gains, shifts, means, variances: float32 [seeds, 1, width] of each batch norm.
        bias: float32 [seeds, 1, classes], of the last layer.
        layers: the module of what a hidden layer does: layers_compiled on a CPU, layers_torch elsewhere.
        gradients: of :meth:`parameters`, in their order; set by :meth:`training_step`.
    """

    def __init__(self, widths: Sequence[int], generators: Sequence[torch.Generator], device: str):
        n_seeds = len(generators)
        self.layers = layers_compiled if device == "cpu" else layers_torch
        self.weights = [draw_uniform((a, b), a, generators, device) for a, b in pairwise(widths)]
        self.gains = [torch.ones(n_seeds, 1, width, device=device) for width in widths[1:-1]]
        self.shifts = [torch.zeros(n_seeds, 1, width, device=device) for width in widths[1:-1]]
        self.bias = draw_uniform((1, widths[-1]), widths[-2], generators, device)
        self.means = [torch.zeros(n_seeds, 1, width, device=device) for width in widths[1:-1]]
        self.variances = [torch.ones(n_seeds, 1, width, device=device) for width in widths[1:-1]]
        self.gradients = [torch.empty_like(parameter) for parameter in self.parameters()]

    def parameters(self) -> list[Tensor]:
        """Return what the optimizer moves."""
        return [*self.weights, *self.gains, *self.shifts, self.bias]

    def of_seeds(self, positions: Sequence[int]) -> "Network":
        """Return a copy with the given seeds alone."""
        chosen, rows = copy(self), list(positions)
        for name in _LISTS:
            setattr(chosen, name, [tensor[rows] for tensor in getattr(self, name)])
        chosen.bias = self.bias[rows]
        return chosen

    def copy_seed(self, position: int, other: "Network") -> None:
        """Take over one seed's numbers from a network of the same seeds."""
        for mine, theirs in zip(self._state(), other._state(), strict=True):
            mine[position].copy_(theirs[position])

    def _state(self) -> list[Tensor]:
        return [*self.parameters(), *self.means, *self.variances]

    @torch.no_grad()
    def training_step(
        self, x: Tensor, classes: Tensor, masks: Sequence[Tensor], weights: Tensor | None = None
    ) -> Tensor:
        """Set :attr:`gradients` of each seed's mean cross-entropy and move the batch norms' averages.

        Args:
            x: float32 [seeds, batch, features].
            classes: int64 [seeds, batch].
            masks: dropout masks [seeds, batch, width] of each hidden layer.
            weights: [seeds, batch], what each sample's loss is multiplied with before the mean; None for 1.

        Returns:
            The loss of each sample, [seeds, batch].
        """
        inputs, activations = [x], []
        for i, mask in enumerate(masks):
            multiply = self.layers.multiply if i else torch.bmm
            z = multiply(inputs[i], self.weights[i])
            activations.append(self.layers.activate(z, self._norm(i), mask))
            inputs.append(activations[i].outputs)
        log_probabilities = torch.baddbmm(self.bias, inputs[-1], self.weights[-1]).log_softmax(dim=2)
        chosen = classes[..., None]
        losses = -log_probabilities.gather(2, chosen)[..., 0]
        errors = log_probabilities.exp_()
        errors.scatter_add_(2, chosen, errors.new_full((1, 1, 1), -1.0).expand_as(chosen))
        errors.div_(x.shape[1])
        if weights is not None:
            errors.mul_(weights[..., None])
        self._backward(errors, inputs, activations)
        return losses

    def _norm(self, i: int) -> Norm:
        return Norm(self.gains[i], self.shifts[i], self.means[i], self.variances[i])

    def _backward(self, errors: Tensor, inputs: Sequence[Tensor], activations: Sequence[Activation]) -> None:
        """Set the gradients from the loss's derivative by the logits, [seeds, batch, classes]."""
        depth, layers = len(activations), self.layers
        of_weights, of_gains = self.gradients[: depth + 1], self.gradients[depth + 1 : 2 * depth + 1]
        of_shifts, of_bias = self.gradients[2 * depth + 1 : -1], self.gradients[-1]
        torch.sum(errors, dim=1, keepdim=True, out=of_bias)
        torch.bmm(inputs[-1].mT, errors, out=of_weights[-1])
        errors = torch.bmm(errors, self.weights[-1].mT)
        for i in reversed(range(depth)):
            norm = self._norm(i)
            errors = layers.activate_backward(errors, activations[i], norm, of_gains[i], of_shifts[i])
            if i:
                errors = layers.multiply_backward(errors, inputs[i], self.weights[i], of_weights[i])
            else:
                torch.bmm(inputs[0].mT, errors, out=of_weights[0])

    @torch.no_grad()
    def folded(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return weights and shifts of the same network, each norm folded into the layer before it."""
        inverses = [torch.rsqrt(variance + BATCH_NORM_EPSILON) for variance in self.variances]
        scales = [inverse * gain for inverse, gain in zip(inverses, self.gains, strict=True)]
        weights = [weight * scale for weight, scale in zip(self.weights[:-1], scales, strict=True)]
        shifts = [s - m * scale for s, m, scale in zip(self.shifts, self.means, scales, strict=True)]
        return [*weights, self.weights[-1]], [*shifts, self.bias]

    @torch.no_grad()
    def inference_pass(self, x: Tensor) -> Tensor:
        """Return logits [seeds, n, classes] of x [n, features]."""
        x = x.expand(len(self.bias), *x.shape)
        weights, shifts = self.folded()
        for weight, shift in zip(weights[:-1], shifts[:-1], strict=True):
            x = torch.relu(torch.baddbmm(shift, x, weight))
        return torch.baddbmm(shifts[-1], x, weights[-1])


def draw_uniform(shape: tuple[int, int], fan_in: int, generators, device: str) -> Tensor:
    """Draw as ``torch.nn.Linear`` does (He et al. 2015 with a = √5): uniform within ±1/√fan_in.

    Returns:
        float32 [generators, *shape].
    """
    bound = 1 / math.sqrt(fan_in)
    drawn = [torch.empty(shape, device=device).uniform_(-bound, bound, generator=g) for g in generators]
    return torch.stack(drawn)


def draw_dropout_mask(shape: tuple[int, int], dropout: float, generator: torch.Generator) -> Tensor:
    """Draw a mask of 0 and 1 / share kept, float32 ``shape``.

    Four decisions come from one random number of 64 bits, so a share is kept to within 2⁻¹⁶ of 1 − dropout;
    the entries that are kept make up for just the share that is.
    """
    size = math.prod(shape)
    words = torch.empty(-(-size // 4), dtype=torch.int64, device=generator.device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[:size].view(shape)
    kept = max(round((1 - dropout) * 2**16), 1)
    return bits.le_(kept - 1 - 2**15).to(torch.float32).mul_(2**16 / kept)
