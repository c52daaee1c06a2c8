"""Gates: each against its formula in numpy, and what must hold for all of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorascope.gates import sundew
from lorascope.gates.base import Candidates, Quota, draw_by_share
from lorascope.gates.free_loss import EVEN_SHARE, shares
from lorascope.gates.registry import GATES, build_gate, parse_gate

N, BATCH = 2000, 50
RATE = 0.3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def candidates(rng, rows=None, progress=0.5):
    """Return candidates with skewed losses, as after some training."""
    rows = np.arange(BATCH) if rows is None else rows
    losses = rng.lognormal(-1, 1, len(rows)).astype(np.float32)
    spread = rng.uniform(0.2, 1.5, len(rows)).astype(np.float32)
    return Candidates(torch.from_numpy(rows), progress, torch.from_numpy(losses), torch.from_numpy(spread))


def ask(gate, batch, draws):
    """Return scores, active positions and weights."""
    scores = gate.score(batch)
    active = gate.select(scores, batch, draws)
    return scores, active, gate.weights(scores, active)


# what holds for all gates


@pytest.mark.parametrize("name", GATES)
def test_answers_have_the_right_shapes_and_never_invent_samples(name):
    rng, gate, draws = np.random.default_rng(0), build_gate(name, RATE / 2, BATCH), generator()
    for step in range(30):
        batch = candidates(rng, rng.permutation(BATCH), progress=step / 40)
        scores, active, weights = ask(gate, batch, draws)
        assert scores.shape == (BATCH,)
        assert len(active) == len(weights) <= BATCH
        assert active.tolist() == sorted(set(active.tolist()))
        assert ((active >= 0) & (active < BATCH)).all()
        assert (weights > 0).all()
        gate.update(batch, active, batch.losses[active])


@pytest.mark.parametrize("name", GATES)
def test_the_state_holds_all_that_the_next_choice_depends_on(name):
    rng = np.random.default_rng(1)
    gate, draws = build_gate(name, 0.1, N), generator()
    batches = [candidates(rng, rng.permutation(N)[:BATCH]) for _ in range(20)]
    for batch in batches[:10]:
        _, active, _ = ask(gate, batch, draws)
        gate.update(batch, active, batch.losses[active])
    copy = build_gate(name, 0.1, N)
    copy.load_state_dict({key: value.clone() for key, value in gate.state_dict().items()})
    for step, batch in enumerate(batches[10:]):
        answers = [ask(each, batch, generator(step)) for each in (gate, copy)]
        for own, other in zip(*answers, strict=True):
            assert torch.equal(own, other)
        for each in (gate, copy):
            each.update(batch, answers[0][1], batch.losses[answers[0][1]])
    assert str(gate.threshold) == str(copy.threshold)
    assert str(gate.energy_store) == str(copy.energy_store)


@pytest.mark.parametrize("name", ["uniform", "loss_topk", "free_loss", "sundew"])
def test_a_batch_without_an_active_sample_is_an_answer(name):
    rng = np.random.default_rng(2)
    gate, draws = build_gate(name, 0.01, N), generator()
    counts = []
    for _ in range(40):
        batch = candidates(rng, rng.permutation(N)[:10])
        _, active, weights = ask(gate, batch, draws)
        assert len(weights) == len(active)
        gate.update(batch, active, batch.losses[active])
        counts.append(len(active))
    assert 0 in counts


# rates


@pytest.mark.parametrize("name", ["uniform", "loss_topk", "free_loss"])
@pytest.mark.parametrize("rate", [0.06, 0.5, 1.0])
def test_the_rate_is_the_target(name, rate):
    rng = np.random.default_rng(3)
    gate, draws, taken, steps = build_gate(name, rate, N), generator(), 0, 200
    for step in range(steps):
        batch = candidates(rng, rng.permutation(N)[:BATCH], progress=step / steps)
        _, active, _ = ask(gate, batch, draws)
        gate.update(batch, active, batch.losses[active])
        taken += len(active)
    # free_loss draws with a random remainder in every batch.
    assert abs(taken / (steps * BATCH) - rate) < (
        0.004 if name == "free_loss" else 1 / (steps * BATCH) + 1e-9
    )


@pytest.mark.parametrize("steps", [400, 2000])
@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("target", [0.06, 0.12])
def test_sundew_keeps_to_its_target_after_a_tenth_of_the_steps(steps, size, target):
    """While the losses change their level and their shape, as they do in training."""
    rng, gate, draws = np.random.default_rng(4), build_gate("sundew", target, N), generator()
    rates = []
    for step in range(steps):
        skew = 0.3 + 1.5 * step / steps
        losses = rng.lognormal(-4 * step / steps, skew, size).astype(np.float32)
        spread = rng.uniform(0.5, 1.5, size).astype(np.float32)
        rows = torch.from_numpy(rng.integers(0, N, size))
        batch = Candidates(rows, step / steps, torch.from_numpy(losses), torch.from_numpy(spread))
        _, active, _ = ask(gate, batch, draws)
        gate.update(batch, active, batch.losses[active])
        rates.append(len(active) / size)
    assert abs(np.mean(rates[steps // 10 :]) - target) <= 0.005


@given(st.floats(0.001, 1), st.lists(st.integers(1, 200), min_size=1, max_size=50))
def test_a_quota_stays_within_one_sample(rate, sizes):
    quota, seen, taken = Quota(rate), 0, 0
    for size in sizes:
        count = quota.next(size)
        seen, taken = seen + size, taken + count
        assert 0 <= count <= size
        assert -1e-6 <= rate * seen - taken < 1 + 1e-6


# expectations


@pytest.mark.parametrize("name", ["dense", "uniform", "free_loss"])
def test_the_rescaled_gradient_is_unbiased(name):
    """Over many draws, the mean of Σ wᵢ gᵢ / B is the gradient of the mean loss, within 5 standard errors."""
    rng = np.random.default_rng(5)
    batch = candidates(rng)
    gradients = rng.normal(size=(BATCH, 3)) * batch.losses.numpy()[:, None]
    estimates, draws = [], generator()
    for _ in range(2000):
        gate = build_gate(name, RATE, N)
        gate.update(batch, torch.arange(BATCH), batch.losses)
        _, active, weights = ask(gate, batch, draws)
        estimates.append(weights.double().numpy() @ gradients[active.numpy()] / BATCH)
    error = np.std(estimates, axis=0) / math.sqrt(len(estimates))
    assert (abs(np.mean(estimates, axis=0) - gradients.mean(axis=0)) <= 5 * error + 1e-6).all()


def test_infobatch_is_unbiased_up_to_the_paper_s_factor():
    rng = np.random.default_rng(6)
    batch = candidates(rng)
    gradients, draws = rng.normal(size=(BATCH, 3)), generator()
    gate = build_gate("infobatch", RATE, BATCH)
    gate.update(batch, torch.arange(BATCH), batch.losses)
    estimates = []
    for _ in range(2000):
        _, active, weights = ask(gate, batch, draws)
        estimates.append(weights.double().numpy() @ gradients[active.numpy()] / BATCH)
    error = np.std(estimates, axis=0) / math.sqrt(len(estimates))
    expected = gradients.mean(axis=0) * BATCH / len(active)
    assert (abs(np.mean(estimates, axis=0) - expected) <= 5 * error + 1e-6).all()


def test_importance_sampling_has_less_variance_than_uniform():
    """On gradients as long as their score says, which is what the score stands for."""
    rng = np.random.default_rng(7)
    batch = candidates(rng)
    lengths = -np.expm1(-batch.losses.double().numpy())
    spread = {}
    for name in ("uniform", "free_loss"):
        gate, draws = build_gate(name, RATE, N), generator()
        gate.update(batch, torch.arange(BATCH), batch.losses)
        drawn = []
        for _ in range(2000):
            _, active, weights = ask(gate, batch, draws)
            signs = rng.choice([-1, 1], len(active))
            drawn.append((weights.numpy() * lengths[active.numpy()] * signs).sum())
        spread[name] = np.var(drawn)
    assert spread["free_loss"] < 0.8 * spread["uniform"]


# each against its formula


def test_the_probabilities_of_free_loss():
    rng = np.random.default_rng(8)
    batch = candidates(rng)
    gate = build_gate("free_loss", RATE, N)
    assert torch.allclose(gate.score(batch), torch.full((BATCH,), RATE))  # nothing is known yet
    seen = torch.arange(0, BATCH, 2)
    gate.update(batch, seen, batch.losses[seen])
    missed = np.full(BATCH, np.nan)
    missed[::2] = 1 - np.exp(-batch.losses.numpy()[::2].astype(np.float64))
    relative = np.where(np.isnan(missed), 1, missed / np.nanmean(missed))
    wanted = EVEN_SHARE + (1 - EVEN_SHARE) * relative
    low, high = 0.0, 100.0  # min(1, c · wanted) sums up to rate · n for one c alone: bisect for it
    for _ in range(100):
        c = (low + high) / 2
        low, high = (c, high) if np.minimum(1, c * wanted).sum() < RATE * BATCH else (low, c)
    np.testing.assert_allclose(gate.score(batch).numpy(), np.minimum(1, c * wanted), rtol=1e-4)


@pytest.mark.parametrize("rate", [0.06, 0.5, 0.6, 0.9, 1.0])
def test_the_rate_of_free_loss_falls_around_its_mean(rate):
    gate = build_gate("free_loss", rate, N)
    rates = [gate.rate_at(step / 1000) for step in range(1001)]
    assert np.mean(rates) == pytest.approx(rate)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] <= rates[0] <= 1 + 1e-9
    assert rates[0] - rates[-1] == pytest.approx(2 * min(0.6 * rate, 1 - rate))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=60), st.floats(0.01, 1))
def test_shares_are_probabilities_of_the_wanted_mean(scores, rate):
    found = shares(torch.tensor(scores), rate)
    assert ((found > 0) & (found <= 1)).all()
    assert abs(found.double().mean().item() - rate) < 1e-3


def test_systematic_sampling_has_the_probabilities_and_a_steady_size():
    probabilities = torch.tensor([0.9, 0.05, 0.5, 1.0, 0.3, 0.0, 0.45])
    draws, counts, sizes = generator(), np.zeros(7), set()
    for _ in range(4000):
        active = draw_by_share(probabilities, draws)
        counts[active.numpy()] += 1
        sizes.add(len(active))
    assert sizes <= {3, 4}
    np.testing.assert_allclose(counts / 4000, probabilities.numpy(), atol=0.03)
    assert counts[3] == 4000
    assert counts[5] == 0


def test_significance_of_sundew():
    rng = np.random.default_rng(9)
    batch = candidates(rng)
    loss, spread = (values.numpy().astype(np.float64) for values in (batch.losses, batch.spread))
    expected = 0.7 * np.clip(loss / loss.mean(), 0, 2) / 2 + 0.3 * np.clip(spread / spread.mean(), 0, 2) / 2
    np.testing.assert_allclose(build_gate("sundew", 0.06, N).score(batch).numpy(), expected, rtol=1e-5)


def test_losses_and_spreads_of_zero_have_no_significance():
    zeros = torch.zeros(BATCH)
    scores = build_gate("sundew", 0.06, N).score(Candidates(torch.arange(BATCH), 0.0, zeros, zeros))
    assert torch.equal(scores, zeros)


def test_sundew_s_choice_and_controller_step_by_step():
    rng, gate, draws = np.random.default_rng(10), build_gate("sundew", 0.06, N), generator()
    threshold, store, smoothed, total = 0.6, 100.0, 0.06, 0.0
    for _ in range(60):
        batch = candidates(rng)
        uniform = torch.rand(2, BATCH, generator=generator().set_state(draws.get_state())).numpy()
        scores, active, weights = ask(gate, batch, draws)
        pressed = threshold + 0.3 * (1 - store / 100)
        s = scores.numpy().astype(np.float64)
        wanted = np.flatnonzero((s > pressed) & (uniform[0] < 1 / (1 + np.exp(-(s - pressed) / 0.15))))
        balance = store + (1 + 2 * uniform[1].astype(np.float64)).sum() - 0.1 * BATCH
        taken = wanted[: int(balance / 9.9)]
        store = min(100, balance - 9.9 * len(taken))
        np.testing.assert_array_equal(active.numpy(), taken)
        np.testing.assert_allclose(weights.numpy(), BATCH / max(len(taken), 1))
        gate.update(batch, active, batch.losses[active])
        smoothed = sundew.SMOOTHING * smoothed + (1 - sundew.SMOOTHING) * len(taken) / BATCH
        total += smoothed - 0.06
        threshold = np.clip(threshold + 0.12 * (smoothed - 0.06) + 0.008 * total, 0, 1)
        assert gate.threshold == pytest.approx(threshold, abs=1e-9)
        assert gate.energy_store == pytest.approx(store, abs=1e-2)


def test_the_store_stops_activations_that_it_cannot_pay():
    gate = build_gate("sundew", 0.06, N)
    gate.threshold = 0.0
    size = 200
    batch = Candidates(torch.arange(size), 0.0, torch.ones(size), torch.ones(size))
    for _ in range(10):
        gate.threshold = 0.0
        gate.select(torch.full((size,), 10.0), batch, generator())
        assert 0 <= gate.energy_store <= 100
    assert gate.energy_store < sundew.ACTIVATION_COST


def test_the_integral_stands_still_at_a_bound():
    gate, batch = build_gate("sundew", 0.06, N), candidates(np.random.default_rng(0))
    nobody = torch.zeros(0, dtype=torch.long)
    for _ in range(500):
        gate.update(batch, nobody, torch.zeros(0))
    assert gate.threshold == 0
    assert gate.error_sum > -3  # unbounded, it would be about -30
    for _ in range(25):
        gate.update(batch, torch.arange(BATCH), torch.ones(BATCH))
    assert gate.threshold > 0.5  # a wound-up sum would hold it down for hundreds of batches
    for _ in range(500):
        gate.update(batch, torch.arange(BATCH), torch.ones(BATCH))
    assert gate.threshold == 1
    wound_up = gate.error_sum
    gate.update(batch, torch.arange(BATCH), torch.ones(BATCH))
    assert gate.error_sum == wound_up


def test_loss_topk_takes_the_largest():
    batch = candidates(np.random.default_rng(11))
    _, active, weights = ask(build_gate("loss_topk", 0.1, N), batch, generator())
    assert set(active.tolist()) == set(np.argsort(-batch.losses.numpy())[:5])
    assert (weights * 5 == BATCH).all()


def test_infobatch_skips_half_of_what_is_below_the_mean():
    rng = np.random.default_rng(12)
    gate, batch = build_gate("infobatch", RATE, BATCH), candidates(rng)
    assert len(ask(gate, batch, generator())[1]) == BATCH  # nothing is known: nothing is skipped
    gate.update(batch, torch.arange(BATCH), batch.losses)
    _, active, weights = ask(gate, batch, generator())
    below = batch.losses.numpy() < batch.losses.numpy().mean()
    skipped = sorted(set(range(BATCH)) - set(active.tolist()))
    assert below[skipped].all()
    assert len(skipped) == below.sum() // 2
    kept = active.numpy()
    ratio = weights.numpy() * len(kept) / BATCH
    np.testing.assert_allclose(ratio[~below[kept]], 1, rtol=1e-6)
    np.testing.assert_allclose(ratio[below[kept]], below.sum() / below[kept].sum(), rtol=1e-6)
    late = Candidates(batch.rows, 0.9)
    assert len(ask(gate, late, generator())[1]) == BATCH


# names


def test_a_gate_may_name_its_rate():
    assert parse_gate("uniform@0.5", 0.06) == ("uniform", 0.5)
    assert parse_gate("uniform", 0.06) == ("uniform", 0.06)


@pytest.mark.parametrize(
    "text", ["unifrom", "", "uniform@", "uniform@x", "uniform@0", "uniform@1.5", "uniform@nan"]
)
def test_other_names_are_refused(refused, text):
    with refused("gate '"):
        parse_gate(text, 0.06)


def test_a_rate_that_the_store_cannot_sustain_is_refused(refused):
    with refused(
        "gate sundew: a rate of 0.5 needs more energy than the store is refilled with; use at most 0.19"
    ):
        build_gate("sundew@0.5", 0.06, N)
