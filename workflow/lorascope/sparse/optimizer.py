"""AdamW with a state that a checkpoint can hold; building torch.optim's costs two seconds of imports."""

import torch
from torch import Tensor, nn

ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False, "maximize": False}


class AdamW:
    """Loshchilov & Hutter 2019 (arXiv:1711.05101), by the kernel behind ``torch.optim.AdamW(fused=True)``."""

    def __init__(self, model: nn.Module, weight_decay: float):
        named = dict(model.named_parameters())
        self.names, self.parameters = list(named), list(named.values())
        self.weight_decay = weight_decay
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]

    @torch.no_grad()
    def step(self, gradients: list[Tensor], learning_rate: float, largest_norm: float) -> None:
        """Clip the gradients to a common norm and move every parameter."""
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (largest_norm / (norm + 1e-6)).clamp(max=1))
        torch._foreach_add_(self.steps, 1)
        torch._fused_adamw_(
            self.parameters,
            gradients,
            self.means,
            self.squares,
            [],
            self.steps,
            lr=learning_rate,
            weight_decay=self.weight_decay,
            **ADAM,
        )

    def state_dict(self) -> dict[str, Tensor]:
        groups = {"mean": self.means, "square": self.squares, "steps": self.steps}
        return {
            f"{group}.{name}": tensor
            for group, tensors in groups.items()
            for name, tensor in zip(self.names, tensors, strict=True)
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])
