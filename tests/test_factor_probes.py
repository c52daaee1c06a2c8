"""Networks that read factors: what they do not see, what they learn, and that a seed decides alone."""

import re

import numpy as np
import pytest
import torch

from layered import random_factors
from lorascope.features.invariance import synthetic_factors
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.representations import factors as representation
from lorascope.probes.factors.blocks import draw_maps, mapped
from lorascope.probes.factors.gl_net import GLNet, gated
from lorascope.probes.factors.layout import Factors, Layout
from lorascope.probes.factors.mvprobe import MVProbe
from lorascope.probes.factors.w2t import W2T
from lorascope.probes.registry import PROBES, reads_factors, run_probe
from lorascope.probes.runs import Part
from lorascope.probes.saved import ProbeCard, SavedProbe, load_probe, save_probe
from lorascope.probes.scaling import Scaling
from lorascope.study.config import load_config, load_section

N, CLASSES = 24, 3
SHAPES = ((12, 10, 2), (12, 8, 3), (9, 10, 1))
PARTS = {"train": slice(0, 120), "validation": slice(120, 150), "test": slice(150, 210)}
FACTOR_PROBES = list(filter(reads_factors, PROBES))


def columns_of(shapes):
    return tuple(
        f"layer{i}.delta/{name}" for i, shape in enumerate(shapes) for name in representation.names(*shape)
    )


def features_of(layers):
    return np.hstack([representation.compute(layer) for layer in layers])


def layers_of(seed=0, n=N):
    rng = np.random.default_rng(seed)
    return [
        LayerFactors(
            rng.standard_normal((n, rank, d_in)).astype(np.float32),
            rng.standard_normal((n, d_out, rank)).astype(np.float32),
        )
        for d_out, d_in, rank in SHAPES
    ]


def in_other_bases(layers, seed=1):
    """Return the same updates as (B G⁻¹, G A), one G an adapter and layer."""
    rng = np.random.default_rng(seed)
    changed = []
    for layer in layers:
        basis = np.linalg.qr(rng.standard_normal((len(layer), layer.rank, layer.rank)))[0]
        basis = basis * 10.0 ** rng.uniform(-1, 1, (len(layer), 1, layer.rank))
        up = layer.up @ np.linalg.inv(basis)
        changed.append(LayerFactors((basis @ layer.down).astype(np.float32), up.astype(np.float32)))
    return changed


def networks(layout):
    return {
        "gl_net": GLNet(layout, CLASSES, width=6, depth=3, encoded=5, hidden=16),
        "mvprobe": MVProbe(layout, CLASSES, width=6, encoded=5, hidden=16),
        "w2t": W2T(layout, CLASSES, width=8, blocks=2, heads=2, hidden=16),
    }


def logits(network, factors):
    parameters = network.draw(torch.Generator().manual_seed(0))
    return network.logits(parameters, factors, torch.ones(1, 16)).numpy()


def factors_of(layout, layers, like=None):
    """Return the factors of ``layers``; sizes are standardised with those of ``like``."""
    return layout.factors(features_of(layers), layout.fit_sizes(features_of(like or layers)))


@pytest.mark.parametrize("name", FACTOR_PROBES)
def test_a_change_of_basis_changes_no_logit(name):
    layout, layers = Layout.of(columns_of(SHAPES)), layers_of()
    network = networks(layout)[name]
    before = logits(network, factors_of(layout, layers))
    after = logits(network, factors_of(layout, in_other_bases(layers), layers))
    assert np.abs(after - before).max() < 1e-4
    assert before.std(axis=0).min() > 1e-2


@pytest.mark.parametrize("name", FACTOR_PROBES)
def test_every_parameter_has_a_say(name):
    layout, layers = Layout.of(columns_of(SHAPES)), layers_of()
    network = networks(layout)[name]
    parameters = {
        key: value.requires_grad_() for key, value in network.draw(torch.Generator().manual_seed(0)).items()
    }
    network.logits(parameters, factors_of(layout, layers), torch.ones(1, 16)).square().sum().backward()
    idle = [key for key, value in parameters.items() if value.grad is None or not value.grad.any()]
    assert not idle


@pytest.mark.parametrize("name", FACTOR_PROBES)
def test_the_sign_of_a_component_is_free(name):
    layout, layers = Layout.of(columns_of(SHAPES)), layers_of()
    factors = factors_of(layout, layers)
    sides = factors.lefts, factors.rights
    signs = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (N, 3, 1, 3)).astype(np.float32))
    orders = layout.left.order, layout.right.order
    turned = [_signed(side, signs, order) for side, order in zip(sides, orders, strict=True)]
    network = networks(layout)[name]
    expected = logits(network, factors)
    np.testing.assert_allclose(
        logits(network, Factors(*turned, factors.sizes)), expected, rtol=1e-4, atol=1e-4
    )
    # One side alone is another update.
    half = logits(network, Factors(turned[0], factors.rights, factors.sizes))
    assert np.abs(half - expected).max() > 1e-3


def _signed(side, signs, order):
    """Give the components of each layer their signs; the layers of a side lie in groups."""
    layers = np.argsort(order)
    counts = np.cumsum([x.shape[1] for x in side])[:-1]
    groups = np.split(layers, counts)
    return tuple(x * signs[:, group] for x, group in zip(side, groups, strict=True))


def test_maps_are_equivariant_and_gates_too():
    layout = Layout.of(columns_of(((7, 5, 3),) * 2))
    rng = torch.Generator().manual_seed(0)
    left, right = (torch.randn(4, 2, d, 3, generator=rng, dtype=torch.float64) for d in (7, 5))
    basis = torch.randn(4, 2, 3, 3, generator=rng, dtype=torch.float64)
    parameters = {name: x.double() for name, x in draw_maps(layout, 6, rng).items()}

    def through(left, right):
        return gated(
            mapped(parameters, "left", layout.left, [left]),
            mapped(parameters, "right", layout.right, [right]),
        )

    before = through(left, right)
    after = through(left @ torch.linalg.inv(basis), right @ basis.mT)
    torch.testing.assert_close(after[0], before[0] @ torch.linalg.inv(basis))
    torch.testing.assert_close(after[1], before[1] @ basis.mT)


def test_layers_keep_their_order_whatever_their_heights():
    layout, layers = Layout.of(columns_of(SHAPES)), layers_of()
    factors = factors_of(layout, layers)
    assert layout.left.heights == (12, 9)
    assert layout.right.heights == (10, 8)
    identity = {f"left.{g}": torch.ones(c, h, 1) for g, (c, h) in enumerate(((2, 12), (1, 9)))}
    sums = mapped(identity, "left", layout.left, factors.lefts)[:, :, 0].numpy()
    features = features_of(layers)
    for index, (d_out, _, rank) in enumerate(SHAPES):
        names = [f"layer{index}.delta/left_{i}_1" for i in range(1, d_out + 1)]
        places = [columns_of(SHAPES).index(name) for name in names]
        expected = d_out**0.5 * features[:, places].sum(axis=1)
        np.testing.assert_allclose(sums[:, index, 0], expected, rtol=1e-4, atol=1e-5)
        assert not sums[:, index, rank:].any()


def test_entries_and_mapped_rows_are_of_size_one_at_any_height():
    shapes = ((400, 25, 1), (36, 900, 1))
    rng = np.random.default_rng(0)
    layers = [
        LayerFactors(*(rng.standard_normal((N, *s)).astype(np.float32) for s in ((r, d_in), (d_out, r))))
        for d_out, d_in, r in shapes
    ]
    layout = Layout.of(columns_of(shapes))
    factors = factors_of(layout, layers)
    parameters = draw_maps(layout, 64, torch.Generator().manual_seed(0))
    for name, side, tensors in (
        ("left", layout.left, factors.lefts),
        ("right", layout.right, factors.rights),
    ):
        sizes = [x.square().mean().sqrt().item() for x in (*tensors, mapped(parameters, name, side, tensors))]
        np.testing.assert_allclose(sizes, 1, atol=0.15)


def test_balanced_factors_multiply_to_the_update_of_unit_size():
    factors = random_factors(3)
    found = representation.compute(factors).astype(float)
    left, right = found[:, : 20 * 3].reshape(-1, 20, 3), found[:, 60:-1].reshape(-1, 17, 3)
    update = factors.up.astype(float) @ factors.down
    sizes = np.linalg.norm(update, axis=(1, 2), keepdims=True)
    there = sizes[:, 0, 0] > 0
    np.testing.assert_allclose((left @ right.swapaxes(1, 2))[there], update[there] / sizes[there], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1), atol=1e-6)
    np.testing.assert_allclose(found[there, -1], np.log(sizes[there, 0, 0]), rtol=1e-6)
    assert not found[~there, :-1].any()


def hand_made(signal):
    """Return parts of 210 adapters of three classes: a direction a class and layer, its sign at random."""
    rng = np.random.default_rng(0)
    own = np.arange(210) % CLASSES
    layers = []
    for d_out, d_in, rank in SHAPES:
        ups, downs = rng.standard_normal((CLASSES, d_out, rank)), rng.standard_normal((CLASSES, rank, d_in))
        up = signal * ups[own] + rng.standard_normal((210, d_out, rank))
        down = signal * downs[own] + rng.standard_normal((210, rank, d_in))
        signs = rng.choice([-1.0, 1.0], (210, 1, 1))
        layers.append(LayerFactors((signs * down).astype(np.float32), (signs * up).astype(np.float32)))
    features, columns = features_of(layers), columns_of(SHAPES)
    return {name: Part(features[rows], own[rows], columns) for name, rows in PARTS.items()}


def trained(name, parts, seeds=(0,), threads=1, **changed):
    settings = load_section(name, {"epochs": 30, **changed})
    return list(run_probe(name, parts, CLASSES, settings, seeds, "cpu", threads))


def accuracy(run, part):
    return (run.log_probabilities["test"].argmax(axis=1) == part.classes).mean()


@pytest.mark.parametrize("name", FACTOR_PROBES)
def test_learns_classes_that_hide_behind_a_random_sign(name):
    parts = hand_made(signal=1.5)
    (run,) = trained(name, parts)
    assert accuracy(run, parts["test"]) > 0.85
    np.testing.assert_allclose(np.exp(run.log_probabilities["test"]).sum(axis=1), 1, rtol=1e-5)
    assert run.validation_accuracy[run.best_epoch - 1] == max(run.validation_accuracy)


@pytest.mark.parametrize("name", FACTOR_PROBES)
def test_finds_nothing_where_nothing_is(name):
    parts = hand_made(signal=0)
    (run,) = trained(name, parts, epochs=8)
    assert accuracy(run, parts["test"]) < 0.6


@pytest.mark.parametrize("name", FACTOR_PROBES)
def test_a_seed_decides_alone(name):
    parts = hand_made(signal=0.5)
    together = trained(name, parts, seeds=(3, 4), threads=2, epochs=3)
    apart = [trained(name, parts, seeds=(seed,), epochs=3)[0] for seed in (3, 4)]
    for one, other in zip(together, apart, strict=True):
        assert one.train_loss == other.train_loss
        assert np.array_equal(one.log_probabilities["test"], other.log_probabilities["test"])
    assert not np.array_equal(together[0].log_probabilities["test"], together[1].log_probabilities["test"])


@pytest.mark.parametrize("name", FACTOR_PROBES)
def test_the_test_part_has_no_say(name):
    parts = hand_made(signal=0.5)
    (before,) = trained(name, parts, epochs=3)
    test = parts["test"]
    shuffled = Part(test.features[::-1].copy(), test.classes, test.columns)
    (after,) = trained(name, {**parts, "test": shuffled}, epochs=3)
    assert before.train_loss == after.train_loss
    assert np.array_equal(before.log_probabilities["validation"], after.log_probabilities["validation"])


@pytest.mark.parametrize("name", FACTOR_PROBES)
def test_a_saved_probe_answers_as_the_study_did(name, tmp_path):
    parts = hand_made(signal=0.5)
    (run,) = trained(name, parts, epochs=2)
    columns = list(parts["train"].columns)
    card = ProbeCard({"probe": name}, 0, list("abc"), columns, is_scaled=False, temperature=run.temperature)
    save_probe(tmp_path / "probe", SavedProbe(card, Scaling.fit(parts["train"].features), run.state))
    answers = load_probe(tmp_path / "probe").predict(parts["test"].features)
    np.testing.assert_allclose(answers, np.exp(run.log_probabilities["test"]), rtol=1e-5)


def test_dropout_and_patience_are_kept():
    parts = hand_made(signal=1.5)
    (run,) = trained("mvprobe", parts, epochs=200, stop_patience=3)
    first = run.validation_accuracy.index(max(run.validation_accuracy)) + 1
    assert run.epochs == first + 3
    equal = [
        loss
        for loss, accuracy in zip(run.validation_loss, run.validation_accuracy, strict=True)
        if accuracy == max(run.validation_accuracy)
    ]
    assert run.validation_loss[run.best_epoch - 1] == min(equal)


def test_other_features_are_refused(refused):
    parts = {
        name: Part(np.zeros((4, 2), np.float32), np.zeros(4, int), ("a.delta/left_1_1", "a.delta/x"))
        for name in PARTS
    }
    with refused("give this probe the representation factors"):
        trained("gl_net", parts)


def test_a_loss_that_is_not_finite_is_named(refused):
    parts = hand_made(signal=1)
    features = parts["train"].features.copy()
    features[0, 0] = np.nan
    broken = Part(features, parts["train"].classes, parts["train"].columns)
    with refused("seed 0: the loss is not finite in epoch 1"):
        trained("mvprobe", {**parts, "train": broken})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"representations": ["factors"]}, "none reads the representation 'factors'; add one of gl_net"),
        ({"representations": ["stats"], "probes": ["w2t"]}, "none reads the representation 'stats'"),
        ({"representations": ["stats"], "probes": ["mlp", "w2t"]}, "'w2t' reads none of them; add 'factors'"),
        ({"w2t": {"width": 10}}, "w2t: width is no multiple of heads"),
    ],
)
def test_pairs_without_a_cell_are_refused(settings, message, refused):
    with refused(re.escape(message)):
        load_config({"dataset": "sanity", "datasets": {"sanity": {"source": "sanity"}}, **settings})


def test_synthetic_adapters_differ_in_their_factors():
    found = representation.compute(synthetic_factors(4))
    assert (found.std(axis=0) > 0).all()
