"""The probe `mlp` as a plain PyTorch loop, one seed after the other: what one would write first.

DataLoader, torch.nn, torch.optim and torch's own schedule of the learning rate. It imports nothing of the
probe but its settings, so that it is a second opinion on the protocol and the baseline of its speed.
"""

import copy
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lorascope.probes.mlp import MLPSettings
from lorascope.probes.runs import Part


class Outcome(NamedTuple):
    """Accuracies of the epoch kept, per part of the split, and how long the training was.

    Attributes:
        train, validation, test: shares named rightly.
        epochs: trained.
        best_epoch: the epoch kept, from 1.
    """

    train: float
    validation: float
    test: float
    epochs: int
    best_epoch: int


def train_plain(
    parts: dict[str, Part], n_classes: int, settings: MLPSettings, seed: int
) -> dict[str, Outcome]:
    """Train one seed.

    Returns:
        Two choices among the epochs of the one training: ``first``, the first epoch with the best validation
        accuracy, and ``loss``, of all these the one with the lowest validation loss.
    """
    torch.manual_seed(seed)
    data = {k: (torch.from_numpy(p.features), torch.from_numpy(p.classes)) for k, p in parts.items()}
    loader = DataLoader(TensorDataset(*data["train"]), batch_size=settings.batch, shuffle=True)
    model = _network(data["train"][0].shape[1], n_classes, settings)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=settings.lr_patience
    )
    best, least, stale, trained = -1.0, float("inf"), 0, 0
    kept: dict[str, tuple[int, dict]] = {}
    while trained < settings.epochs and stale < settings.stop_patience:
        trained += 1
        _train_epoch(model, loader, optimizer)
        accuracy, loss = _score(model, *data["validation"])
        schedule.step(accuracy)
        state = trained, copy.deepcopy(model.state_dict())
        if accuracy > best:
            best, least, stale = accuracy, loss, 0
            kept = {"first": state, "loss": state}
        else:
            stale += 1
            if accuracy == best and loss < least:
                least, kept["loss"] = loss, state
    return {name: _outcome(model, data, trained, *epoch) for name, epoch in kept.items()}


def _outcome(model: nn.Module, data: dict, trained: int, best_epoch: int, state: dict) -> Outcome:
    model.load_state_dict(state)
    accuracies = [_score(model, *data[part])[0] for part in ("train", "validation", "test")]
    return Outcome(*accuracies, trained, best_epoch)


def _network(n_features: int, n_classes: int, settings: MLPSettings) -> nn.Sequential:
    layers, width = [], n_features
    for hidden in settings.hidden:
        layers += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(settings.dropout)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, n_classes))


def _train_epoch(model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer) -> None:
    model.train()
    for features, classes in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(features), classes).backward()
        optimizer.step()


@torch.no_grad()
def _score(model: nn.Module, features: torch.Tensor, classes: torch.Tensor) -> tuple[float, float]:
    """Return accuracy and mean cross-entropy in nats."""
    model.eval()
    logits = model(features)
    loss = nn.functional.cross_entropy(logits, classes).item()
    return (logits.argmax(dim=1) == classes).double().mean().item(), loss
