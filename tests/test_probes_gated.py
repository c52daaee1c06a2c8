"""The gated probe: the plain one where every adapter is active, and a probe that learns where not."""

import numpy as np
import pytest
import torch

from lorascope.gates.registry import GATES, build_gate
from lorascope.probes import mlp
from lorascope.probes.gated import GatedSettings, GatedTraining, train_gated
from lorascope.probes.mlp import MLPSettings, train_mlp
from lorascope.probes.network import Network
from lorascope.probes.registry import run_probe
from lorascope.study import steps
from lorascope.study.config import load_config
from test_probes_mlp import blobs

SMALL = {"hidden": (16, 12), "batch": 16, "epochs": 8}


def test_dense_is_the_plain_probe_to_the_bit():
    (plain,) = train_mlp(blobs(n_train=65), 3, MLPSettings(**SMALL), [5])
    (gated,) = train_gated(blobs(n_train=65), 3, GatedSettings(**SMALL, gate="dense"), [5])
    assert plain.validation_loss == gated.validation_loss
    assert plain.best_epoch == gated.best_epoch
    for part, scores in plain.log_probabilities.items():
        np.testing.assert_array_equal(scores, gated.log_probabilities[part])
    np.testing.assert_allclose(plain.train_loss, gated.train_loss, rtol=1e-5)


def test_weights_scale_the_gradient_of_each_sample():
    """Against autograd through the same network, batch norm and all."""
    draws = [torch.Generator().manual_seed(0)]
    network = Network([6, 5, 3], draws, "cpu")
    x, classes, weights = torch.randn(1, 9, 6), torch.arange(9)[None] % 3, torch.rand(1, 9) * 3
    masks = [torch.ones(1, 9, 5)]
    leaves = [parameter.clone().requires_grad_() for parameter in network.parameters()]
    first, last, gain, shift, bias = leaves
    hidden = torch.nn.functional.batch_norm(
        x[0] @ first[0], None, None, gain[0, 0], shift[0, 0], training=True
    )
    logits = torch.relu(hidden) @ last[0] + bias[0]
    losses = torch.nn.functional.cross_entropy(logits, classes[0], reduction="none")
    expected = torch.autograd.grad((weights[0] * losses).mean(), leaves)
    found = network.training_step(x, classes, masks, weights)
    torch.testing.assert_close(found[0], losses.detach())
    for mine, theirs in zip(network.gradients, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gate", [*GATES, "uniform@0.5", "free_loss@0.5"])
def test_every_gate_trains_and_repeats(gate):
    settings = {
        **SMALL,
        "epochs": 80,
        "stop_patience": 40,
        "learning_rate": 0.01,
        "dropout": 0.1,
        "batch": 40,
        "gate": gate,
    }
    data = blobs(n_train=200, spread=0.5)
    runs = [next(iter(run_probe("mlp_gated", data, 3, settings, [4]))) for _ in range(2)]
    assert runs[0].validation_accuracy == runs[1].validation_accuracy
    for part, scores in runs[0].log_probabilities.items():
        np.testing.assert_array_equal(scores, runs[1].log_probabilities[part])
    assert max(runs[0].validation_accuracy) >= 0.7


def test_fewer_adapters_are_trained_on(monkeypatch):
    counts = {}

    def counted(self, x, *arguments):
        counts[name] = counts.get(name, 0) + x.shape[1]
        return step(self, x, *arguments)

    step = Network.training_step
    monkeypatch.setattr(Network, "training_step", counted)
    for name in ("dense", "uniform@0.5", "free_loss@0.5"):
        list(train_gated(blobs(n_train=160), 3, GatedSettings(**SMALL, gate=name, stop_patience=99), [1]))
    assert counts["dense"] == 160 * 8
    assert counts["uniform@0.5"] == counts["dense"] // 2
    assert abs(counts["free_loss@0.5"] / counts["dense"] - 0.5) < 0.03


def test_an_epoch_without_activations_is_one():
    data = {name: tuple(map(torch.from_numpy, (p.features, p.classes))) for name, p in blobs().items()}
    training = GatedTraining(data, 3, GatedSettings(**SMALL, gate="uniform@0.5"), [0], "cpu")
    training.gate = build_gate("uniform@0.001", 0.5, 70)
    before = [parameter.clone() for parameter in training.network.parameters()]
    assert training._train_epoch().tolist() == [0.0]
    assert all(map(torch.equal, before, training.network.parameters()))


def test_the_defaults_are_those_of_the_config():
    filled = load_config({"datasets": {"zoo": {"source": "zoo"}}})["mlp_gated"]
    assert filled == {**vars(GatedSettings()), "hidden": list(GatedSettings().hidden)}
    assert {**filled, "gate": None} == {**vars(mlp.MLPSettings()), "hidden": filled["hidden"], "gate": None}


def test_an_edit_of_a_gate_reaches_its_probes_alone():
    assert "lorascope.gates.free_loss" in steps.train("mlp_gated", {"gate": "free_loss@0.5"})
    assert steps.train("mlp", {}) == ("lorascope.probes.train", "lorascope.probes.classifiers.mlp")


def test_an_unknown_gate_is_refused(refused):
    with refused("gate 'fre_loss': unknown; there are: dense"):
        load_config({"datasets": {"zoo": {"source": "zoo"}}, "mlp_gated": {"gate": "fre_loss"}})
