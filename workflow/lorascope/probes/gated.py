"""The probe `mlp_gated`: the probe `mlp`, trained only on the adapters that a gate activates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorascope.errors import LorascopeError
from lorascope.gates.base import Candidates
from lorascope.gates.registry import DEFAULT_RATE, build_gate
from lorascope.probes.mlp import MLPSettings, Training, train_mlp
from lorascope.probes.runs import Part, Run

# Nobody knows how long a run is that stops early: a gate with a schedule stays in the middle of it.
MIDDLE = 0.5


@dataclass(frozen=True)
class GatedSettings(MLPSettings):
    """Protocol of the probe; see ``mlp_gated`` in the config schema."""

    gate: str = "free_loss@0.5"


def train_gated(
    parts: dict[str, Part],
    n_classes: int,
    settings: GatedSettings,
    seeds: Sequence[int],
    device: str = "cpu",
    threads: int = 1,
) -> Iterator[Run]:
    """Train as :func:`lorascope.probes.mlp.train_mlp` does, a seed at a time: batches differ in length."""
    yield from train_mlp(parts, n_classes, settings, seeds, device, threads, False, GatedTraining)


class GatedTraining(Training):
    """Training of one seed on what its gate activates.

    Raises:
        LorascopeError: so few are active that batch normalisation would have no batch.
    """

    def __init__(self, parts: dict[str, tuple[Tensor, Tensor]], n_classes: int, settings, seeds, device: str):
        super().__init__(parts, n_classes, settings, seeds, device)
        self.gate = build_gate(settings.gate, DEFAULT_RATE, len(parts["train"][1]), device)
        if not self.gate.whole_epoch and self.gate.rate * settings.batch < 2:
            raise LorascopeError(
                f"mlp_gated.gate: {settings.gate} activates fewer than two of a batch of {settings.batch} "
                "adapters; raise the rate or mlp_gated.batch"
            )

    def _train_epoch(self) -> Tensor:
        """Return the mean loss over the epoch's active adapters, [1]; 0 if there were none."""
        n, generator = len(self.parts["train"][1]), self.generators[0]
        order = torch.randperm(n, generator=generator, device=self.device)
        losses = [
            self._train_on(rows) for rows in order.split(n if self.gate.whole_epoch else self.settings.batch)
        ]
        losses = torch.cat(losses)
        return losses.sum(dim=0, keepdim=True) / max(len(losses), 1)

    def _train_on(self, rows: Tensor) -> Tensor:
        """Let the gate choose among ``rows``, train on the active ones, and return their losses."""
        candidates = self._candidates(rows)
        scores = self.gate.score(candidates)
        active = self.gate.select(scores, candidates, self.generators[0])
        # A batch of one has no variance to normalise by.
        if len(active) % self.settings.batch == 1:
            active = active[:-1]
        weights = self.gate.weights(scores, active) * (len(active) / len(rows))
        steps = zip(active.split(self.settings.batch), weights.split(self.settings.batch), strict=True)
        losses = [self._step_on(rows[own], weight) for own, weight in steps] if len(active) else []
        seen = torch.cat(losses) if losses else torch.zeros(0, device=self.device)
        self.gate.update(candidates, active, seen)
        return seen

    def _candidates(self, rows: Tensor) -> Candidates:
        features, classes = self.parts["train"]
        losses = spread = None
        if self.gate.needs_losses:
            logits = self.network.inference_pass(features[rows])[0]
            losses = torch.nn.functional.cross_entropy(logits, classes[rows], reduction="none")
        if self.gate.needs_spread:
            spread = features[rows].std(dim=1)
        return Candidates(rows, MIDDLE, losses, spread)

    def _step_on(self, rows: Tensor, weights: Tensor) -> Tensor:
        features, classes = self.parts["train"]
        masks = self._dropout_masks(len(rows))
        losses = self.network.training_step(features[rows][None], classes[rows][None], masks, weights[None])
        self._move()
        return losses[0]
