"""Training of a network that reads factors: the protocol of `mlp`, with AdamW."""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lorascope.data.split import TRAIN, VALIDATION
from lorascope.errors import LorascopeError
from lorascope.probes.factors.blocks import Parameters
from lorascope.probes.factors.layout import Factors, Layout
from lorascope.probes.runs import Part, Run
from lorascope.probes.scaling import Scaling
from lorascope.probes.schedule import Schedule

BETAS = (0.9, 0.999)
EPSILON = 1e-8
EVALUATION_ROWS = 1024
# Names in a run's state beside the parameters: the network's numbers, and what standardises sizes.
_NUMBER, _MEAN, _SCALE = "number.", "sizes.mean", "sizes.scale"


class Network(Protocol):
    """What is trained, a dataclass: its layout, the number of classes, and numbers from the settings."""

    layout: Layout
    hidden: int

    def draw(self, generator: torch.Generator) -> Parameters:
        """Draw the parameters of one seed."""

    def logits(self, parameters: Parameters, factors: Factors, keep: Tensor) -> Tensor:
        """Return logits [n, classes]; ``keep`` [n, hidden] is the dropout mask."""


@dataclass(frozen=True)
class Training:
    """Protocol; see ``gl_net`` in the config schema."""

    learning_rate: float
    weight_decay: float
    dropout: float
    batch: int
    epochs: int
    lr_patience: int
    stop_patience: int


def train_network(
    kind: type[Network],
    parts: dict[str, Part],
    n_classes: int,
    settings: dict,
    seeds: Sequence[int],
    device: str,
    threads: int,
) -> Iterator[Run]:
    """Train one run a seed and yield each when it is finished.

    A run's seed decides its initial weights, the order of its batches and its dropout, and nothing else does.

    Args:
        kind: dataclass of the network.
        parts: ``train``, ``validation`` and ``test``: columns of the representation ``factors``.
        n_classes: number of classes.
        settings: of the probe: the fields of ``kind`` and of :class:`Training`.
        seeds: one run each.
        device: ``cpu`` or a CUDA device.
        threads: seeds trained at a time on a CPU; they change no bit of the result.

    Raises:
        LorascopeError: a loss that is not finite.
    """
    layout = Layout.of(parts[TRAIN].columns)
    network = kind(layout, n_classes, **{name: settings[name] for name in _numbers(kind)})
    training = Training(**{field.name: settings[field.name] for field in fields(Training)})
    sizes = layout.fit_sizes(parts[TRAIN].features)
    on_device = {
        name: (layout.factors(part.features, sizes).to(device), torch.from_numpy(part.classes).to(device))
        for name, part in parts.items()
    }

    def train(seed: int) -> Run:
        run = _Seed(network, on_device, training, seed, device).finish()
        run.state |= {f"{_NUMBER}{name}": np.array(settings[name]) for name in _numbers(kind)}
        run.state |= {_MEAN: sizes.mean, _SCALE: sizes.scale}
        return run

    # Threads that share a matrix product add up in another order: each seed has one to itself.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(train, seeds)


def answer(
    kind: type[Network], state: dict[str, np.ndarray], columns: Sequence[str], features: np.ndarray
) -> np.ndarray:
    """Return log-probabilities, float64 [n, classes], of features [n, columns].

    Args:
        kind: dataclass of the network.
        state: of a :class:`~lorascope.probes.runs.Run`.
        columns: names of the features.
    """
    layout = Layout.of(columns)
    numbers = {name: int(state[f"{_NUMBER}{name}"]) for name in _numbers(kind)}
    network = kind(layout, len(state["classes.bias"]), **numbers)
    factors = layout.factors(features, Scaling(state[_MEAN], state[_SCALE]))
    parameters = {
        name: torch.from_numpy(array)
        for name, array in state.items()
        if name not in (_MEAN, _SCALE) and not name.startswith(_NUMBER)
    }
    return _log_probabilities(network, parameters, factors).numpy().astype(np.float64)


def _numbers(kind: type[Network]) -> list[str]:
    """Return the names of a network's numbers: all of its fields but what the data decide."""
    return [field.name for field in fields(kind) if field.name not in ("layout", "n_classes")]


@torch.no_grad()
def _log_probabilities(network: Network, parameters: Parameters, factors: Factors) -> Tensor:
    """Return log-probabilities [n, classes], in rows small enough for memory."""
    everything = torch.ones(1, network.hidden, device=factors.sizes.device)
    rows = torch.arange(len(factors.sizes), device=factors.sizes.device).split(EVALUATION_ROWS)
    logits = [network.logits(parameters, factors.rows(chosen), everything) for chosen in rows]
    return torch.log_softmax(torch.cat(logits), dim=1)


class _Seed:
    """Training of one seed, epoch by epoch."""

    def __init__(self, network: Network, parts: dict, settings: Training, seed: int, device: str):
        self.network, self.parts, self.settings = network, parts, settings
        self.generator = torch.Generator(device).manual_seed(seed)
        self.parameters = {name: p.requires_grad_() for name, p in network.draw(self.generator).items()}
        self.best = self._copy()
        self.adam = _AdamW(list(self.parameters.values()), settings.weight_decay)
        patience = settings.lr_patience, settings.stop_patience
        self.schedule = Schedule(settings.learning_rate, *patience, settings.epochs)
        self.run = Run(seed)

    def finish(self) -> Run:
        """Train until the seed stops; return the run with its scores at the best epoch."""
        started = time.perf_counter()
        while not self.schedule.is_over:
            self._judge(self._train_epoch())
        for name, (factors, _) in self.parts.items():
            self.run.log_probabilities[name] = (
                _log_probabilities(self.network, self.best, factors).cpu().numpy()
            )
        self.run.state = {name: tensor.cpu().numpy() for name, tensor in self.best.items()}
        self.run.seconds = time.perf_counter() - started
        return self.run

    def _copy(self) -> Parameters:
        return {name: tensor.detach().clone() for name, tensor in self.parameters.items()}

    def _train_epoch(self) -> float:
        """Return the mean loss over the epoch."""
        factors, classes = self.parts[TRAIN]
        order = torch.randperm(len(classes), generator=self.generator, device=classes.device)
        total = torch.zeros((), device=classes.device)
        for chosen in order.split(self.settings.batch):
            logits = self.network.logits(self.parameters, factors.rows(chosen), self._keep(len(chosen)))
            loss = functional.cross_entropy(logits, classes[chosen])
            gradients = torch.autograd.grad(loss, list(self.parameters.values()))
            self.adam.step(gradients, self.schedule.learning_rate)
            total += len(chosen) * loss.detach()
        return total.item() / len(classes)

    def _keep(self, rows: int) -> Tensor:
        share = 1 - self.settings.dropout
        drawn = torch.rand(rows, self.network.hidden, generator=self.generator, device=self.generator.device)
        return (drawn < share) / share

    def _judge(self, train_loss: float) -> None:
        factors, classes = self.parts[VALIDATION]
        run = self.run
        scores = _log_probabilities(self.network, self.parameters, factors)
        loss = functional.nll_loss(scores, classes).item()
        if not (math.isfinite(train_loss) and math.isfinite(loss)):
            raise LorascopeError(
                f"seed {run.seed}: the loss is not finite in epoch {run.epochs + 1}; lower the learning_rate"
            )
        accuracy = (scores.argmax(dim=1) == classes).double().mean().item()
        run.train_loss.append(train_loss)
        run.validation_loss.append(loss)
        run.validation_accuracy.append(accuracy)
        if self.schedule.judge(accuracy, loss):
            run.best_epoch, self.best = run.epochs, self._copy()


class _AdamW:
    """Loshchilov & Hutter 2019: torch.optim would do the same after two seconds of imports."""

    def __init__(self, parameters: list[Tensor], weight_decay: float):
        self.parameters, self.weight_decay = parameters, weight_decay
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.steps = [torch.zeros((), device=p.device) for p in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Move every parameter along its gradient."""
        for count in self.steps:
            count += 1
        torch._fused_adamw_(
            self.parameters,
            list(gradients),
            self.first,
            self.second,
            [],
            self.steps,
            lr=learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
