"""The parts of a network's training step as compiled loops, for a CPU.

They do what the functions of the same names in :mod:`lorascope.probes.layers_torch` do. After ReLU and a
dropout of one half, three quarters of a layer's outputs are zero, here and there: the product with them needs
a quarter of the multiplications, and so do its gradients, for nothing flows back to a zero.
"""

import numpy as np
import torch
from torch import Tensor

from lorascope.compiled import compiled, float32, int32, part_of_loops
from lorascope.probes import layers_torch
from lorascope.probes.layers_torch import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, Activation, Norm

# With a larger share of outputs that are not 0 the full product is faster: a multiplication costs it less.
SPARSE_SHARE = 0.35
ZERO, EPSILON, MOMENTUM = np.float32(0), np.float32(BATCH_NORM_EPSILON), np.float32(BATCH_NORM_MOMENTUM)


def activate(inputs: Tensor, norm: Norm, mask: Tensor) -> Activation:
    """Return the outputs of batch norm, ReLU and dropout; the norm's running averages move."""
    outputs, means, scales = torch.empty_like(inputs), *(torch.empty_like(norm.gains) for _ in range(2))
    _activate(inputs, *norm, mask, outputs, means, scales)
    return Activation(outputs, inputs, mask, means, scales)


def activate_backward(
    errors: Tensor, activation: Activation, norm: Norm, of_gains: Tensor, of_shifts: Tensor
) -> Tensor:
    """Return the gradient by the inputs from that by the outputs, in the same memory; set the norm's."""
    _activate_backward(errors, *activation, norm.gains, of_gains, of_shifts)
    return errors


def multiply(outputs: Tensor, weights: Tensor) -> Tensor:
    """Return outputs [seeds, batch, width] times weights [seeds, width, next width]."""
    units, counts = _units_that_pass(outputs)
    if _is_dense(outputs, counts):
        return layers_torch.multiply(outputs, weights)
    product = outputs.new_empty(*outputs.shape[:2], weights.shape[2])
    _multiply(units, counts, outputs, weights, product)
    return product


def multiply_backward(errors: Tensor, outputs: Tensor, weights: Tensor, of_weights: Tensor) -> Tensor:
    """Set the gradient by the weights; return that by the outputs, 0 or anything where they are 0."""
    units, counts = _units_that_pass(outputs)
    if _is_dense(outputs, counts):
        return layers_torch.multiply_backward(errors, outputs, weights, of_weights)
    of_outputs = torch.zeros_like(outputs)
    _, batch, width = outputs.shape
    samples = torch.empty(width, batch + 1, dtype=torch.int32)
    values = torch.empty(width, batch + 1)
    _multiply_backward(units, counts, errors, outputs, weights, samples, values, of_weights, of_outputs)
    return of_outputs


def _units_that_pass(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the outputs are not 0, int32 [seeds, batch, width + 1], and how many these are."""
    seeds, batch, width = outputs.shape
    # The last write may fall one behind the list.
    units = torch.empty(seeds, batch, width + 1, dtype=torch.int32)
    counts = torch.empty(seeds, batch, dtype=torch.int32)
    _list_units(outputs, units, counts)
    return units, counts


def _is_dense(outputs: Tensor, counts: Tensor) -> bool:
    return counts.sum().item() > SPARSE_SHARE * outputs.numel()


# loops


@compiled(fused=True)
def _activate(
    inputs: float32[3],
    gains: float32[3],
    shifts: float32[3],
    running_means: float32[3],
    running_variances: float32[3],
    mask: float32[3],
    outputs: float32[3],
    means: float32[3],
    scales: float32[3],
):
    seeds, n, width = inputs.shape
    for seed in range(seeds):
        mean, scale, gain, shift = means[seed, 0], scales[seed, 0], gains[seed, 0], shifts[seed, 0]
        _moments(inputs[seed], mean, scale)
        for unit in range(width):
            _move(running_means[seed, 0], unit, mean[unit])
            _move(running_variances[seed, 0], unit, scale[unit] * np.float32(n / (n - 1)))
            scale[unit] = 1 / np.sqrt(scale[unit] + EPSILON)
        for row in range(n):
            values, kept, found = inputs[seed, row], mask[seed, row], outputs[seed, row]
            for unit in range(width):
                normal = (values[unit] - mean[unit]) * scale[unit] * gain[unit] + shift[unit]
                # A comparison that NaN fails: it must come out as NaN.
                found[unit] = ZERO if normal < 0 else normal * kept[unit]


@part_of_loops
def _moments(values, mean, variance):
    """Write mean and variance (divisor n) of each column."""
    n, width = values.shape
    mean[:] = 0
    variance[:] = 0
    for row in range(n):
        for unit in range(width):
            mean[unit] += values[row, unit] / np.float32(n)
    for row in range(n):
        for unit in range(width):
            deviation = values[row, unit] - mean[unit]
            variance[unit] += deviation * deviation / np.float32(n)


@part_of_loops
def _move(averages, unit, value):
    averages[unit] += MOMENTUM * (value - averages[unit])


@compiled(fused=True)
def _activate_backward(
    errors: float32[3],
    outputs: float32[3],
    inputs: float32[3],
    mask: float32[3],
    means: float32[3],
    scales: float32[3],
    gains: float32[3],
    of_gains: float32[3],
    of_shifts: float32[3],
):
    seeds, n, width = errors.shape
    for seed in range(seeds):
        mean, scale, gain = means[seed, 0], scales[seed, 0], gains[seed, 0]
        of_gain, of_shift = of_gains[seed, 0], of_shifts[seed, 0]
        of_gain[:] = 0
        of_shift[:] = 0
        for row in range(n):
            error, values = errors[seed, row], inputs[seed, row]
            passed, kept = outputs[seed, row], mask[seed, row]
            for unit in range(width):
                error[unit] = error[unit] * kept[unit] if passed[unit] > 0 else ZERO
                of_shift[unit] += error[unit]
                of_gain[unit] += error[unit] * (values[unit] - mean[unit]) * scale[unit]
        share = np.float32(1 / n)
        for row in range(n):
            error, values = errors[seed, row], inputs[seed, row]
            for unit in range(width):
                normal = (values[unit] - mean[unit]) * scale[unit]
                centred = error[unit] - share * (of_shift[unit] + normal * of_gain[unit])
                error[unit] = gain[unit] * scale[unit] * centred


@compiled(fused=True)
def _list_units(outputs: float32[3], units: int32[3], counts: int32[2]):
    seeds, n, width = outputs.shape
    for seed in range(seeds):
        for row in range(n):
            values, found, count = outputs[seed, row], units[seed, row], 0
            for unit in range(width):
                # Written in any case and kept if it counts: a jump here could not be predicted.
                found[count] = unit
                count += values[unit] != 0
            counts[seed, row] = count


@compiled(fused=True)
def _multiply(
    units: int32[3], counts: int32[2], outputs: float32[3], weights: float32[3], product: float32[3]
):
    """Add up the weights' rows of the units that pass, eight at a time, so that a sum is seldom stored."""
    seeds, n, _ = outputs.shape
    for seed in range(seeds):
        W = weights[seed]
        for row in range(n):
            x, total, unit, count = (
                outputs[seed, row],
                product[seed, row],
                units[seed, row],
                counts[seed, row],
            )
            total[:] = 0
            eights = count - count % 8
            for q in range(0, eights, 8):
                a, b, c, d = unit[q], unit[q + 1], unit[q + 2], unit[q + 3]
                e, f, g, h = unit[q + 4], unit[q + 5], unit[q + 6], unit[q + 7]
                xa, xb, xc, xd, xe, xf, xg, xh = x[a], x[b], x[c], x[d], x[e], x[f], x[g], x[h]
                Wa, Wb, Wc, Wd, We, Wf, Wg, Wh = W[a], W[b], W[c], W[d], W[e], W[f], W[g], W[h]
                for i in range(len(total)):
                    first = xa * Wa[i] + xb * Wb[i] + xc * Wc[i] + xd * Wd[i]
                    total[i] += first + (xe * We[i] + xf * Wf[i] + xg * Wg[i] + xh * Wh[i])
            for q in range(eights, count):
                xa, Wa = x[unit[q]], W[unit[q]]
                for i in range(len(total)):
                    total[i] += xa * Wa[i]


@compiled(fused=True)
def _multiply_backward(
    units: int32[3],
    counts: int32[2],
    errors: float32[3],
    outputs: float32[3],
    weights: float32[3],
    samples: int32[2],
    values: float32[2],
    of_weights: float32[3],
    of_outputs: float32[3],
):
    """Take a unit at a time with all samples that it passes: their errors serve both gradients.

    ``samples`` and ``values`` [width, batch + 1] are room to work in: a unit's samples, with their number
    first, and its outputs.
    """
    seeds, n, width = outputs.shape
    for seed in range(seeds):
        for unit in range(width):
            samples[unit, 0] = 0
        for row in range(n):
            for q in range(counts[seed, row]):
                unit = units[seed, row, q]
                samples[unit, 0] += 1
                samples[unit, samples[unit, 0]] = row
                values[unit, samples[unit, 0]] = outputs[seed, row, unit]
        for unit in range(width):
            count, of_weight = samples[unit, 0], of_weights[seed, unit]
            of_weight[:] = 0
            mine, x = samples[unit, 1 : count + 1], values[unit, 1:]
            _gradients_of_unit(
                mine, x, errors[seed], weights[seed, unit], of_weight, of_outputs[seed, :, unit]
            )


@part_of_loops
def _gradients_of_unit(samples, x, errors, weight, of_weight, of_output):
    """Add Σ x · error of the samples to ``of_weight`` and set ``of_output`` to error · weight."""
    fours = len(samples) - len(samples) % 4
    for q in range(0, fours, 4):
        a, b, c, d = samples[q], samples[q + 1], samples[q + 2], samples[q + 3]
        xa, xb, xc, xd = x[q], x[q + 1], x[q + 2], x[q + 3]
        ea, eb, ec, ed = errors[a], errors[b], errors[c], errors[d]
        sa = sb = sc = sd = ZERO
        for i in range(len(weight)):
            of_weight[i] += (xa * ea[i] + xb * eb[i]) + (xc * ec[i] + xd * ed[i])
            sa += weight[i] * ea[i]
            sb += weight[i] * eb[i]
            sc += weight[i] * ec[i]
            sd += weight[i] * ed[i]
        of_output[a], of_output[b], of_output[c], of_output[d] = sa, sb, sc, sd
    for q in range(fours, len(samples)):
        error, total = errors[samples[q]], ZERO
        for i in range(len(weight)):
            of_weight[i] += x[q] * error[i]
            total += weight[i] * error[i]
        of_output[samples[q]] = total
