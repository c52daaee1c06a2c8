"""AdamW in a dozen lines: building one of torch.optim's costs two seconds of imports in every process."""

import torch
from torch import Tensor

BETA_MEAN, BETA_SQUARE, EPSILON = 0.9, 0.999, 1e-8


class AdamW:
    """Loshchilov & Hutter 2019 (arXiv:1711.05101), with the defaults of ``torch.optim.AdamW``."""

    def __init__(self, parameters: list[Tensor], weight_decay: float) -> None:
        self.parameters = parameters
        self.weight_decay = weight_decay
        self.means = [torch.zeros_like(p) for p in parameters]
        self.squares = [torch.zeros_like(p) for p in parameters]
        self.count = 0

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move every parameter along its gradient, then forget the gradients."""
        self.count += 1
        stride = learning_rate / (1 - BETA_MEAN**self.count)
        unbias = (1 - BETA_SQUARE**self.count) ** 0.5
        for parameter, mean, square in zip(self.parameters, self.means, self.squares, strict=True):
            gradient = parameter.grad
            parameter.mul_(1 - learning_rate * self.weight_decay)
            mean.lerp_(gradient, 1 - BETA_MEAN)
            square.mul_(BETA_SQUARE).addcmul_(gradient, gradient, value=1 - BETA_SQUARE)
            parameter.addcdiv_(mean, (square.sqrt() / unbias).add_(EPSILON), value=-stride)
            parameter.grad = None
