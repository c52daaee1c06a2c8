"""The baseline of the training benchmark: the probe as a plain PyTorch loop, one seed after the other.

DataLoader, torch.nn, torch.optim.Adam: what one would write first. The protocol is that of the probe `mlp`.
"""

import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lorascope.probes.mlp import MLPSettings
from lorascope.probes.runs import Part


def train_plain(
    parts: dict[str, Part], n_classes: int, settings: MLPSettings, seed: int
) -> tuple[float, int]:
    """Train one seed; return the test accuracy of the best epoch, and how many epochs were trained."""
    torch.manual_seed(seed)
    data = {k: (torch.from_numpy(p.features), torch.from_numpy(p.classes)) for k, p in parts.items()}
    loader = DataLoader(TensorDataset(*data["train"]), batch_size=settings.batch, shuffle=True)
    model = _network(data["train"][0].shape[1], n_classes, settings)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=settings.lr_patience - 1
    )
    best, best_state, stale, trained = -1.0, None, 0, 0
    while trained < settings.epochs and stale < settings.stop_patience:
        trained += 1
        _train_epoch(model, loader, optimizer)
        accuracy = _accuracy(model, *data["validation"])
        schedule.step(accuracy)
        if accuracy > best:
            best, best_state, stale = accuracy, copy.deepcopy(model.state_dict()), 0
        else:
            stale += 1
    model.load_state_dict(best_state)
    return _accuracy(model, *data["test"]), trained


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
def _accuracy(model: nn.Module, features: torch.Tensor, classes: torch.Tensor) -> float:
    model.eval()
    return (model(features).argmax(dim=1) == classes).double().mean().item()
