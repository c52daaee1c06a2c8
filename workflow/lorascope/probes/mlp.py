"""The probe `mlp`: all seeds of a batch are one model with a leading seed dimension.

A step is a handful of batched matrix products, so that on a GPU ten seeds cost about as much as one. On a
CPU the products are already large enough to fill a core, and each seed is trained on one.
"""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from lorascope.errors import LorascopeError
from lorascope.probes.network import Network, draw_dropout_mask
from lorascope.probes.runs import Part, Run
from lorascope.probes.schedule import Schedule

ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False, "maximize": False}
EVALUATION_ROWS = 8192
# What is left of the network once its batch norms are folded away, a tensor a layer.
STATE = ("weight", "shift")


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
    as_one_batch: bool | None = None,
    training: "type[Training] | None" = None,
) -> Iterator[Run]:
    """Train one run a seed and yield each when it is finished.

    Args:
        parts: ``train``, ``validation`` and ``test``.
        n_classes: number of classes.
        settings: the protocol.
        seeds: a run's seed decides its initial weights, the order of its batches and its dropout, and
            nothing else does: the other seeds of the call have no influence.
        device: ``cpu`` or a CUDA device.
        threads: seeds trained at a time where they are not one batch; they change no bit of the result.
        as_one_batch: whether all seeds train as one model, or a seed a thread; by default what measures
            better (``make bench-train``): one batch on a GPU, a seed a thread on a CPU.
        training: what trains; by default :class:`Training`.

    Raises:
        LorascopeError: fewer than two training adapters, or a loss that is not finite.
    """
    if len(parts["train"].classes) < 2:
        raise LorascopeError("train: batch normalisation needs at least two adapters in the training part")
    on_device = {
        name: (torch.from_numpy(part.features).to(device), torch.from_numpy(part.classes).to(device))
        for name, part in parts.items()
    }
    training = training or Training
    if device != "cpu" if as_one_batch is None else as_one_batch:
        yield from training(on_device, n_classes, settings, list(seeds), device).finish()
        return

    def train(seed: int) -> Run:
        return training(on_device, n_classes, settings, [seed], device).finish()[0]

    # Threads that share a matrix product add up in another order: each seed has one to itself.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(train, seeds)


class _Adam:
    """Adam (Kingma & Ba 2015) with L2, one learning rate a seed.

    torch.optim would do the same after two seconds of imports; this is the kernel that it calls.
    """

    def __init__(self, parameters: list[Tensor], weight_decay: float):
        self.parameters, self.weight_decay = parameters, weight_decay
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.steps = torch.zeros((), device=parameters[0].device)

    def keep(self, positions: Sequence[int], parameters: list[Tensor]) -> None:
        """Go on with the given seeds alone, whose parameters are now these."""
        self.parameters = parameters
        self.first = [tensor[positions] for tensor in self.first]
        self.second = [tensor[positions] for tensor in self.second]

    def step(self, gradients: Sequence[Tensor], learning_rates: Sequence[float]) -> None:
        self.steps += 1
        counts = [self.steps] * len(self.parameters)
        for seed, rate in enumerate(learning_rates):
            tensors = [
                [t[seed] for t in group] for group in (self.parameters, gradients, self.first, self.second)
            ]
            torch._fused_adam_(*tensors, [], counts, lr=rate, weight_decay=self.weight_decay, **ADAM)


class Training:
    """Training of a batch of seeds, epoch by epoch, each seed with its own schedule and best weights."""

    def __init__(self, parts: dict[str, tuple[Tensor, Tensor]], n_classes: int, settings, seeds, device: str):
        self.parts, self.settings, self.device = parts, settings, device
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        widths = [parts["train"][0].shape[1], *settings.hidden, n_classes]
        self.network = Network(widths, self.generators, device)
        self.adam = _Adam(self.network.parameters(), settings.weight_decay)
        self.runs = [Run(seed) for seed in seeds]
        patience = settings.lr_patience, settings.stop_patience
        self.schedules = [Schedule(settings.learning_rate, *patience, settings.epochs) for _ in seeds]
        self.best = self.network.of_seeds(range(len(seeds)))

    def finish(self) -> list[Run]:
        """Train until every seed has stopped; return the runs with their scores at the best epoch."""
        started, runs = time.perf_counter(), list(self.runs)
        while self.runs:
            losses = self._train_epoch()
            self._judge_epoch(losses, time.perf_counter() - started)
            self._retire([position for position, schedule in enumerate(self.schedules) if schedule.is_over])
        return runs

    def _retire(self, positions: list[int]) -> None:
        """Score seeds that have stopped and go on without them: a finished seed costs nothing more."""
        if not positions:
            return
        best = self.best.of_seeds(positions)
        scores = {name: _log_probabilities(best, features) for name, (features, _) in self.parts.items()}
        state = dict(zip(STATE, best.folded(), strict=True))
        for row, position in enumerate(positions):
            run = self.runs[position]
            run.log_probabilities = {name: values[row].cpu().numpy() for name, values in scores.items()}
            run.state = {
                f"{name}.{layer}": tensor[row].cpu().numpy()
                for name, tensors in state.items()
                for layer, tensor in enumerate(tensors)
            }
        self._keep([position for position in range(len(self.runs)) if position not in positions])

    def _keep(self, positions: list[int]) -> None:
        for name in ("generators", "runs", "schedules"):
            values = getattr(self, name)
            setattr(self, name, [values[position] for position in positions])
        self.network, self.best = self.network.of_seeds(positions), self.best.of_seeds(positions)
        self.adam.keep(positions, self.network.parameters())

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
        losses = self.network.training_step(x, classes, self._dropout_masks(x.shape[1]))
        self._move()
        return losses.mean(dim=1)

    def _move(self) -> None:
        self.adam.step(self.network.gradients, [schedule.learning_rate for schedule in self.schedules])

    def _dropout_masks(self, rows: int) -> list[Tensor]:
        dropout = self.settings.dropout
        return [
            torch.stack([draw_dropout_mask((rows, width), dropout, g) for g in self.generators])
            for width in self.settings.hidden
        ]

    def _judge_epoch(self, train_losses: Tensor, seconds: float) -> None:
        features, classes = self.parts["validation"]
        scores = _log_probabilities(self.network, features)
        hits = (scores.argmax(dim=2) == classes).double().mean(dim=1).tolist()
        losses = -scores.gather(2, classes.expand(len(self.runs), -1)[..., None]).mean(dim=(1, 2))
        for position, run in enumerate(self.runs):
            self._record(position, train_losses[position].item(), losses[position].item(), hits[position])
            run.seconds = seconds

    def _record(self, position: int, train_loss: float, validation_loss: float, accuracy: float) -> None:
        run = self.runs[position]
        if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
            raise LorascopeError(
                f"seed {run.seed}: the loss is not finite in epoch {run.epochs + 1}; lower mlp.learning_rate"
            )
        run.train_loss.append(train_loss)
        run.validation_loss.append(validation_loss)
        run.validation_accuracy.append(accuracy)
        if self.schedules[position].judge(accuracy, validation_loss):
            run.best_epoch = run.epochs
            self.best.copy_seed(position, self.network)


def _log_probabilities(network: Network, features: Tensor) -> Tensor:
    """Return log-probabilities [seeds, n, classes] in rows small enough for memory."""
    logits = [network.inference_pass(rows) for rows in torch.split(features, EVALUATION_ROWS)]
    return torch.log_softmax(torch.cat(logits, dim=1), dim=2)
