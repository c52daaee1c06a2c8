"""The parts of a network's training step as calls of torch, for any device.

:mod:`lorascope.probes.layers_compiled` has the same functions for a CPU.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.1


class Norm(NamedTuple):
    """Batch norm of a hidden layer, float32 [seeds, 1, width] each: its parameters and running averages."""

    gains: Tensor
    shifts: Tensor
    means: Tensor
    variances: Tensor


class Activation(NamedTuple):
    """A hidden layer's outputs, and what their gradient needs.

    Attributes:
        outputs: float32 [seeds, batch, width], after batch norm, ReLU and dropout.
        inputs: the same before them.
        mask: dropout mask, 0 or what is kept is multiplied with.
        means: of the batch, float32 [seeds · width].
        scales: 1 / standard deviation of the batch, float32 [seeds · width].
    """

    outputs: Tensor
    inputs: Tensor
    mask: Tensor
    means: Tensor
    scales: Tensor


def activate(inputs: Tensor, norm: Norm, mask: Tensor) -> Activation:
    """Return the outputs of batch norm, ReLU and dropout; the norm's running averages move."""
    gains, shifts, means, variances = (tensor.view(-1) for tensor in norm)
    outputs, *moments = torch.native_batch_norm(
        _as_channels(inputs), gains, shifts, means, variances, True, BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON
    )
    return Activation(_as_seeds(outputs, len(inputs)).mul_(mask).relu_(), inputs, mask, *moments)


def activate_backward(
    errors: Tensor, activation: Activation, norm: Norm, of_gains: Tensor, of_shifts: Tensor
) -> Tensor:
    """Return the gradient by the inputs from that by the outputs, which is used up; set the norm's."""
    errors = torch.ops.aten.threshold_backward(errors.mul_(activation.mask), activation.outputs, 0)
    errors, of_gain, of_shift = torch.ops.aten.native_batch_norm_backward(
        _as_channels(errors),
        _as_channels(activation.inputs),
        norm.gains.view(-1),
        None,
        None,
        activation.means,
        activation.scales,
        True,
        BATCH_NORM_EPSILON,
        [True, True, True],
    )
    of_gains.copy_(of_gain.view_as(of_gains))
    of_shifts.copy_(of_shift.view_as(of_shifts))
    return _as_seeds(errors, len(activation.inputs))


def multiply(outputs: Tensor, weights: Tensor) -> Tensor:
    """Return outputs [seeds, batch, width] times weights [seeds, width, next width]."""
    return torch.bmm(outputs, weights)


def multiply_backward(errors: Tensor, outputs: Tensor, weights: Tensor, of_weights: Tensor) -> Tensor:
    """Set the gradient by the weights; return that by the outputs, which counts only where they are not 0."""
    torch.bmm(outputs.mT, errors, out=of_weights)
    return torch.bmm(errors, weights.mT)


def _as_channels(x: Tensor) -> Tensor:
    """Return [seeds, batch, width] as [batch, seeds · width]: to a batch norm a seed's unit is a channel."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def _as_seeds(x: Tensor, seeds: int) -> Tensor:
    """Undo :func:`_as_channels`."""
    return x.view(len(x), seeds, -1).transpose(0, 1)
