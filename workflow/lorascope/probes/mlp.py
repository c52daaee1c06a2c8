"""The probe `mlp`: all seeds of a batch are one model with a leading seed dimension.

A step is a handful of batched matrix products, so that on a GPU ten seeds cost about as much as one. On a
CPU the products are already large enough to fill a core, and each seed is trained on one.
"""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from lorascope.errors import LorascopeError
from lorascope.probes.runs import Part, Run

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.1
ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False, "maximize": False}
EVALUATION_ROWS = 8192


@dataclass(frozen=True)
class MLPSettings:
    """Protocol of the probe; see ``mlp`` in the config schema."""

    hidden: Sequence[int] = (512, 512, 512)
    dropout: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch: int = 64
    epochs: int = 300
    lr_patience: int = 10
    stop_patience: int = 15


def train_mlp(
    parts: dict[str, Part],
    n_classes: int,
    settings: MLPSettings,
    seeds: Sequence[int],
    device: str = "cpu",
    threads: int = 1,
) -> Iterator[Run]:
    """Train one run a seed and yield each when it is finished.

    Args:
        parts: ``train``, ``validation`` and ``test``.
        n_classes: number of classes.
        settings: the protocol.
        seeds: a run's seed decides its initial weights, the order of its batches and its dropout, and
            nothing else does: the other seeds of the call have no influence.
        device: ``cpu`` (a seed a thread) or a CUDA device (all seeds as one batch).
        threads: seeds trained at a time on a CPU; they change no bit of the result.

    Raises:
        LorascopeError: fewer than two training adapters, or a loss that is not finite.
    """
    if len(parts["train"].classes) < 2:
        raise LorascopeError("train: batch normalisation needs at least two adapters in the training part")
    on_device = {
        name: (torch.from_numpy(part.features).to(device), torch.from_numpy(part.classes).to(device))
        for name, part in parts.items()
    }
    if device != "cpu":
        yield from _Training(on_device, n_classes, settings, list(seeds), device).finish()
        return

    def train(seed: int) -> Run:
        return _Training(on_device, n_classes, settings, [seed], device).finish()[0]

    # Threads that share a matrix product add up in another order: each seed has one to itself.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(train, seeds)


class _Network:
    """Parameters with a leading seed dimension, and the two ways through them.

    The linear layers before a batch norm have no bias: the norm would take it out again.
    """

    def __init__(self, widths: Sequence[int], generators: Sequence[torch.Generator], device: str):
        n_seeds = len(generators)
        self.weights = [_uniform((a, b), a, generators, device) for a, b in pairwise(widths)]
        self.gains = [torch.ones(n_seeds, 1, width, device=device) for width in widths[1:-1]]
        self.shifts = [torch.zeros(n_seeds, 1, width, device=device) for width in widths[1:-1]]
        self.bias = _uniform((1, widths[-1]), widths[-2], generators, device)
        self.means = [torch.zeros(n_seeds, 1, width, device=device) for width in widths[1:-1]]
        self.variances = [torch.ones(n_seeds, 1, width, device=device) for width in widths[1:-1]]

    def parameters(self) -> list[Tensor]:
        """Return what the optimizer moves."""
        return [*self.weights, *self.gains, *self.shifts, self.bias]

    def tensors(self) -> dict[str, Tensor]:
        """Return all that a forward pass needs, by name."""
        lists = {"weight": self.weights, "gain": self.gains, "shift": self.shifts}
        lists |= {"mean": self.means, "variance": self.variances}
        named = {f"{name}.{i}": tensor for name, tensors in lists.items() for i, tensor in enumerate(tensors)}
        return {**named, "bias": self.bias}

    def training_pass(self, x: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Return logits [seeds, batch, classes] of x [seeds, batch, features]."""
        rows = x.shape[1]
        for i, mask in enumerate(masks):
            z = torch.bmm(x, self.weights[i])
            variance, mean = torch.var_mean(z, dim=1, keepdim=True, correction=0)
            with torch.no_grad():
                self.means[i].lerp_(mean, BATCH_NORM_MOMENTUM)
                self.variances[i].lerp_(variance * (rows / (rows - 1)), BATCH_NORM_MOMENTUM)
            scale = torch.rsqrt(variance + BATCH_NORM_EPSILON) * self.gains[i]
            x = torch.relu((z - mean) * scale + self.shifts[i]) * mask
        return torch.baddbmm(self.bias, x, self.weights[-1])

    @torch.no_grad()
    def inference_pass(self, x: Tensor) -> Tensor:
        """Return logits [seeds, n, classes] of x [n, features]."""
        x = x.expand(len(self.bias), *x.shape)
        for i, gain in enumerate(self.gains):
            scale = torch.rsqrt(self.variances[i] + BATCH_NORM_EPSILON) * gain
            x = torch.relu(torch.baddbmm(self.shifts[i] - self.means[i] * scale, x, self.weights[i] * scale))
        return torch.baddbmm(self.bias, x, self.weights[-1])


def _uniform(shape: tuple[int, int], fan_in: int, generators, device: str) -> Tensor:
    """Draw as ``torch.nn.Linear`` does (He et al. 2015 with a = √5): uniform within ±1/√fan_in."""
    bound = 1 / math.sqrt(fan_in)
    drawn = [torch.empty(shape, device=device).uniform_(-bound, bound, generator=g) for g in generators]
    return torch.stack(drawn)


class _Adam:
    """Adam (Kingma & Ba 2015) with L2, one learning rate a seed.

    torch.optim would do the same after two seconds of imports; this is the kernel that it calls.
    """

    def __init__(self, parameters: list[Tensor], weight_decay: float):
        self.parameters, self.weight_decay = parameters, weight_decay
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.steps = [torch.zeros((), device=p.device) for p in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rates: Sequence[float]) -> None:
        for count in self.steps:
            count += 1
        for seed, rate in enumerate(learning_rates):
            tensors = [
                [t[seed] for t in group] for group in (self.parameters, gradients, self.first, self.second)
            ]
            torch._fused_adam_(*tensors, [], self.steps, lr=rate, weight_decay=self.weight_decay, **ADAM)


class _Training:
    """Training of a batch of seeds, epoch by epoch, each seed with its own schedule and best weights."""

    def __init__(self, parts: dict[str, tuple[Tensor, Tensor]], n_classes: int, settings, seeds, device: str):
        self.parts, self.settings, self.device = parts, settings, device
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        widths = [parts["train"][0].shape[1], *settings.hidden, n_classes]
        self.network = _Network(widths, self.generators, device)
        self.parameters = [p.requires_grad_() for p in self.network.parameters()]
        self.adam = _Adam(self.parameters, settings.weight_decay)
        self.runs = [Run(seed) for seed in seeds]
        self.learning_rates = [settings.learning_rate] * len(seeds)
        self.best = {name: tensor.detach().clone() for name, tensor in self.network.tensors().items()}
        self.stale = [0] * len(seeds)
        self.stale_rate = [0] * len(seeds)

    def finish(self) -> list[Run]:
        """Train until every seed has stopped; return the runs with their scores at the best epoch."""
        started = time.perf_counter()
        while any(self._is_active(run, stale) for run, stale in zip(self.runs, self.stale, strict=True)):
            losses = self._train_epoch()
            self._judge_epoch(losses, time.perf_counter() - started)
        for name, tensor in self.network.tensors().items():
            tensor.detach().copy_(self.best[name])
        for name, (features, _) in self.parts.items():
            scores = self._log_probabilities(features).cpu().numpy()
            for run, own in zip(self.runs, scores, strict=True):
                run.log_probabilities[name] = own
        for position, run in enumerate(self.runs):
            run.state = {name: tensor[position].cpu().numpy() for name, tensor in self.best.items()}
        return self.runs

    def _is_active(self, run: Run, stale: int) -> bool:
        return stale < self.settings.stop_patience and run.epochs < self.settings.epochs

    def _train_epoch(self) -> Tensor:
        """Return the mean loss of each seed over the epoch."""
        features, classes = self.parts["train"]
        batch, n = self.settings.batch, len(classes)
        orders = torch.stack([torch.randperm(n, generator=g, device=self.device) for g in self.generators])
        total = torch.zeros(len(self.runs), device=self.device)
        counted = 0
        for start in range(0, n, batch):
            chosen = orders[:, start : start + batch]
            # A batch of one has no variance to normalise by.
            if chosen.shape[1] > 1:
                total += chosen.shape[1] * self._step(features[chosen], classes[chosen])
                counted += chosen.shape[1]
        return total / counted

    def _step(self, x: Tensor, classes: Tensor) -> Tensor:
        logits = self.network.training_pass(x, self._dropout_masks(x.shape[1]))
        losses = functional.cross_entropy(logits.transpose(1, 2), classes, reduction="none").mean(dim=1)
        gradients = torch.autograd.grad(losses.sum(), self.parameters)
        self.adam.step(gradients, self.learning_rates)
        return losses.detach()

    def _dropout_masks(self, rows: int) -> list[Tensor]:
        keep, width = 1 - self.settings.dropout, sum(self.settings.hidden)
        drawn = torch.stack(
            [torch.rand(rows, width, generator=g, device=self.device) for g in self.generators]
        )
        return list(torch.split((drawn < keep) / keep, list(self.settings.hidden), dim=2))

    def _judge_epoch(self, train_losses: Tensor, seconds: float) -> None:
        features, classes = self.parts["validation"]
        scores = self._log_probabilities(features)
        hits = (scores.argmax(dim=2) == classes).double().mean(dim=1).tolist()
        losses = -scores.gather(2, classes.expand(len(self.runs), -1)[..., None]).mean(dim=(1, 2))
        for position, run in enumerate(self.runs):
            if self._is_active(run, self.stale[position]):
                self._record(position, train_losses[position].item(), losses[position].item(), hits[position])
                run.seconds = seconds

    def _record(self, position: int, train_loss: float, validation_loss: float, accuracy: float) -> None:
        run = self.runs[position]
        if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
            raise LorascopeError(
                f"seed {run.seed}: the loss is not finite in epoch {run.epochs + 1}; lower mlp.learning_rate"
            )
        better = accuracy > max(run.validation_accuracy, default=-1.0)
        run.train_loss.append(train_loss)
        run.validation_loss.append(validation_loss)
        run.validation_accuracy.append(accuracy)
        if better:
            run.best_epoch = run.epochs
            self.stale[position] = self.stale_rate[position] = 0
            for name, tensor in self.network.tensors().items():
                self.best[name][position].copy_(tensor.detach()[position])
            return
        self.stale[position] += 1
        self.stale_rate[position] += 1
        if self.stale_rate[position] == self.settings.lr_patience:
            self.learning_rates[position] /= 2
            self.stale_rate[position] = 0

    def _log_probabilities(self, features: Tensor) -> Tensor:
        """Return log-probabilities [seeds, n, classes] in rows small enough for memory."""
        logits = [self.network.inference_pass(rows) for rows in torch.split(features, EVALUATION_ROWS)]
        return torch.log_softmax(torch.cat(logits, dim=1), dim=2)
