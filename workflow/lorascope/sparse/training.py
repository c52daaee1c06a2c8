"""One training run: what happens in an epoch, and the state between two epochs."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from lorascope.errors import LorascopeError
from lorascope.gates.base import Candidates
from lorascope.gates.registry import build_gate
from lorascope.sparse.accounting import Tally, count_flops
from lorascope.sparse.augment import augment
from lorascope.sparse.images import TEST, TRAIN, VALIDATION, Images
from lorascope.sparse.optimizer import AdamW
from lorascope.sparse.parts import EVALUATION_ROWS, Part
from lorascope.sparse.settings import TrainSettings
from lorascope.sparse.vit import ViT


class Training:
    """A model, its optimizer and its gate, trained epoch by epoch.

    Each epoch draws from generators that its number and the seed start anew: a run that is resumed goes on as
    if nothing had happened, and no state of a generator needs to be kept.

    Args:
        images: prepared images.
        settings: of the run.
        seed: decides the initial weights, the order, the augmentation, the dropout and the gate's draws.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, images: Images, settings: TrainSettings, seed: int, device: str):
        self.settings, self.seed, self.device = settings, seed, device
        self.parts = {part: Part(images, part, device) for part in (TRAIN, VALIDATION, TEST)}
        for part, own in self.parts.items():
            if not len(own):
                raise LorascopeError(
                    f"images: no image in part {part} of the split (0 train, 1 validation, 2 test)"
                )
        _, side, _, channels = images.images.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = ViT(settings.vit, channels, side, len(images.class_names)).to(device)
        self.optimizer = AdamW(self.model, settings.weight_decay)
        train = self.parts[TRAIN]
        self.gate = build_gate(settings.gate, settings.target_activation_rate, len(train), device)
        self.spread = train.spread() if self.gate.needs_spread else None
        self.cost = count_flops(self.model, (channels, side, side))
        compiled = settings.compile == "on" or (settings.compile == "auto" and device != "cpu")
        # Batches of every size come by: one program for all of them.
        self.forward = torch.compile(self.model, dynamic=True) if compiled else self.model
        if compiled:
            self._warm_up()

    def _warm_up(self) -> None:
        """Compile before the clock runs: a step without consequences, a scoring pass, an evaluation."""
        rows = torch.arange(min(self.settings.batch, len(self.parts[TRAIN])), device=self.device)
        with self._seeded(0):
            pixels = self._augmented(rows)
            with self._autocast():
                logits = self.forward(pixels)
            torch.autograd.grad(logits.float().sum(), self.optimizer.parameters)
            self._scored(pixels, rows)
        self.evaluate(VALIDATION)

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def precision(self) -> str:
        """Number type of the matrix products."""
        if self.settings.precision == "auto":
            return "bfloat16" if self.device != "cpu" else "float32"
        return self.settings.precision

    def train_epoch(self, epoch: int) -> dict:
        """Train one epoch and evaluate; return its row.

        Args:
            epoch: number of the epoch, from 1.

        Raises:
            LorascopeError: a loss is not finite.
        """
        tally = Tally()
        with self._timed(tally), self._seeded(epoch):
            for rows, progress in self._choices(epoch):
                self._train_on(rows, progress, tally)
        if not math.isfinite(tally.loss_sum):
            raise LorascopeError(f"epoch {epoch}: the loss is not finite; lower sparse.learning_rate")
        return {
            "epoch": epoch,
            **self._evaluated(),
            **tally.row(self.cost),
            "threshold": _number(self.gate.threshold),
            "energy_store": _number(self.gate.energy_store),
            "learning_rate": self._learning_rate((epoch - 1) / self.settings.epochs),
        }

    @contextmanager
    def _timed(self, tally: Tally) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        if self.device != "cpu":
            torch.cuda.synchronize()
        tally.seconds, tally.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu

    @contextmanager
    def _seeded(self, epoch: int) -> Iterator[None]:
        """Start the generators of an epoch; dropout draws from the global ones, which are the caller's."""
        own = (self.seed * self.settings.epochs + epoch) % 2**63
        self.generator = torch.Generator(self.device).manual_seed(own)
        with torch.random.fork_rng(devices=["cuda"] if self.device != "cpu" else []):
            torch.manual_seed(own)
            yield

    def _choices(self, epoch: int) -> Iterator[tuple[Tensor, float]]:
        """Yield the samples that the gate chooses among, and the progress so far."""
        n = len(self.parts[TRAIN])
        order = torch.randperm(n, generator=self.generator, device=self.device)
        size = n if self.gate.whole_epoch else self.settings.batch
        for start in range(0, n, size):
            yield order[start : start + size], (epoch - 1 + start / n) / self.settings.epochs

    def _train_on(self, rows: Tensor, progress: float, tally: Tally) -> None:
        """Let the gate choose among ``rows`` and train on the active ones, in steps of at most one batch."""
        pixels = losses = None
        if self.gate.needs_losses:
            pixels = self._augmented(rows)
            losses = self._scored(pixels, rows)
            tally.scored += len(rows)
        spread = self.spread[rows] if self.gate.needs_spread else None
        span = len(rows) / len(self.parts[TRAIN]) / self.settings.epochs
        candidates = Candidates(rows, progress, losses, spread, span)
        scores = self.gate.score(candidates)
        active = self.gate.select(scores, candidates, self.generator)
        weights = self.gate.weights(scores, active)
        tally.trained += len(active)
        tally.skipped += len(rows) - len(active)
        # No active sample, no step: nothing is trained on in its place, but the gate hears of it.
        seen = [
            self._step(
                rows[own], None if pixels is None else pixels[own], weight, len(rows) / len(active), at
            )
            for own, weight, at in self._steps(active, weights, progress)
        ]
        seen = torch.cat(seen) if seen else torch.zeros(0, device=self.device)
        tally.loss_sum += seen.sum().item()
        self.gate.update(candidates, active, seen)

    def _steps(
        self, active: Tensor, weights: Tensor, progress: float
    ) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Cut what a gate activated into steps, each with the progress at its beginning."""
        batch, n = self.settings.batch, max(len(active), 1)
        for start in range(0, len(active), batch):
            at = progress + start / n / self.settings.epochs if self.gate.whole_epoch else progress
            yield active[start : start + batch], weights[start : start + batch], at

    def _step(self, rows: Tensor, pixels: Tensor | None, weights: Tensor, stands_for: float, progress: float):
        """Move the weights by one step; return the losses [n] before it.

        Args:
            stands_for: candidates per active sample: the step's loss is divided by that and by its size.
        """
        if pixels is None:
            pixels = self._augmented(rows)
        with self._autocast():
            losses = functional.cross_entropy(
                self.forward(pixels).float(), self.parts[TRAIN].classes[rows], reduction="none"
            )
        loss = (weights * losses).sum() / (len(rows) * stands_for)
        gradients = list(torch.autograd.grad(loss, self.optimizer.parameters))
        self.optimizer.step(gradients, self._learning_rate(progress), self.settings.clip)
        return losses.detach()

    @torch.no_grad()
    def _scored(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """Return the losses [n] of a scoring pass, without dropout."""
        self.model.eval()
        with self._autocast():
            logits = self.forward(pixels).float()
        self.model.train()
        return functional.cross_entropy(logits, self.parts[TRAIN].classes[rows], reduction="none")

    def _augmented(self, rows: Tensor) -> Tensor:
        pixels = self.parts[TRAIN].pixels(rows)
        return augment(pixels, self.settings.crop, self.settings.flip, self.generator)

    def _autocast(self):
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _learning_rate(self, progress: float) -> float:
        return self.settings.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    def _evaluated(self) -> dict[str, float]:
        validation_loss, validation_accuracy = self.evaluate(VALIDATION)
        return {
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "test_accuracy": self.evaluate(TEST)[1],
        }

    @torch.no_grad()
    def evaluate(self, part: int) -> tuple[float, float]:
        """Return mean loss and accuracy on a part."""
        own, loss, hits = self.parts[part], 0.0, 0
        self.model.eval()
        for start in range(0, len(own), EVALUATION_ROWS):
            rows = slice(start, start + EVALUATION_ROWS)
            with self._autocast():
                logits = self.forward(own.pixels(rows)).float()
            loss += functional.cross_entropy(logits, own.classes[rows], reduction="sum").item()
            hits += (logits.argmax(dim=1) == own.classes[rows]).sum().item()
        self.model.train()
        return loss / len(own), hits / len(own)

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that the next epoch depends on, as flat tensors."""
        groups = {"model": self.model, "optimizer": self.optimizer, "gate": self.gate}
        return {f"{group}.{name}": t for group, own in groups.items() for name, t in own.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        for group, own in (("model", self.model), ("optimizer", self.optimizer), ("gate", self.gate)):
            start = len(group) + 1
            own.load_state_dict(
                {name[start:]: t for name, t in state.items() if name.startswith(f"{group}.")}
            )


def _number(value: float) -> float | None:
    """Return None for NaN: JSON has no word for it."""
    return None if math.isnan(value) else value
