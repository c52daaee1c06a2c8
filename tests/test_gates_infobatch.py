"""InfoBatch over whole trainings: which epochs skip, and how much."""

import numpy as np
import pytest
import torch

from lorascope.gates.base import Candidates
from lorascope.gates.registry import build_gate
from lorascope.sparse.images import Images
from lorascope.sparse.settings import TrainSettings
from lorascope.sparse.training import Training

N = 64


@pytest.mark.parametrize("epochs", [2, 3, 6, 8, 10, 20, 40, 56, 100])
def test_epochs_beyond_seven_eighths_see_everything(epochs):
    gate, draws = build_gate("infobatch", 0.06, N), torch.Generator().manual_seed(0)
    losses, skipped = torch.arange(N, dtype=torch.float32), []
    for epoch in range(1, epochs + 1):
        candidates = Candidates(torch.arange(N), (epoch - 1) / epochs, span=1 / epochs)
        active = gate.select(gate.score(candidates), candidates, draws)
        gate.update(candidates, active, losses[active])
        skipped.append(N - len(active))
    # Epochs count from 1: those above 0.875 of all are the annealing, in whole numbers.
    pruning = [epoch for epoch in range(1, epochs + 1) if 8 * epoch <= 7 * epochs]
    assert [place + 1 for place, count in enumerate(skipped) if count] == pruning[1:]
    assert set(skipped[1 : len(pruning)]) <= {N // 4}


def test_a_training_of_six_epochs_ends_on_all_of_its_images():
    rng = np.random.default_rng(0)
    parts = np.repeat(np.array([0, 1, 2], dtype=np.int8), [N, 8, 8])
    pixels = rng.integers(256, size=(len(parts), 8, 8, 1), dtype=np.uint8)
    images = Images(pixels, np.arange(len(parts)) % 2, parts, ["a", "b"], [0.5], [0.3])
    sizes = {"patch": 4, "width": 8, "depth": 1, "heads": 1}
    settings = TrainSettings.from_json({"gate": "infobatch", "epochs": 6, "batch": 16, "vit": sizes})
    training = Training(images, settings, 0, "cpu")
    skipped = [training.train_epoch(epoch)["samples_skipped"] for epoch in range(1, 7)]
    assert (skipped[0], skipped[-1]) == (0, 0)
    assert all(count > 0 for count in skipped[1:-1])
