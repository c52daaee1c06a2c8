"""When a step size falls, when training ends and which epoch is kept, against torch's own schedule."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.probes.schedule import Schedule, merit

VALIDATION_ADAPTERS = 40
hits = st.lists(st.integers(0, VALIDATION_ADAPTERS), min_size=1, max_size=80)
patience = st.integers(0, 12)


def run(schedule, accuracies, losses=None):
    """Return the step sizes after each epoch, until the training ends, and the epoch kept, from 1."""
    rates, kept = [], None
    for epoch, accuracy in enumerate(accuracies, start=1):
        if schedule.is_over:
            break
        if schedule.judge(accuracy, losses[epoch - 1] if losses else 1.0):
            kept = epoch
        rates.append(schedule.learning_rate)
    return rates, kept


@given(hits, patience)
@settings(deadline=None)
def test_the_step_size_falls_when_torchs_does(counts, lr_patience):
    accuracies = [count / VALIDATION_ADAPTERS for count in counts]
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-3)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=lr_patience, eps=0
    )
    expected = []
    for accuracy in accuracies:
        torchs.step(accuracy)
        expected.append(optimizer.param_groups[0]["lr"])
    rates, _ = run(Schedule(1e-3, lr_patience, 1000, 1000), accuracies)
    assert rates == expected


@given(hits, st.integers(1, 12))
def test_training_ends_after_so_many_epochs_without_a_better_accuracy(counts, stop_patience):
    accuracies = [count / VALIDATION_ADAPTERS for count in counts]
    rates, _ = run(Schedule(1e-3, 1000, stop_patience, 1000), accuracies)
    best, stale, expected = -1.0, 0, 0
    for accuracy in accuracies:
        expected += 1
        best, stale = (accuracy, 0) if accuracy > best else (best, stale + 1)
        if stale == stop_patience:
            break
    assert len(rates) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_the_epoch_kept_is_the_most_accurate_then_the_likeliest_then_the_first(scores):
    accuracies, losses = ([float(value) for value in column] for column in zip(*scores, strict=True))
    _, kept = run(Schedule(1e-3, 1000, 1000, 1000), accuracies, losses)
    order = sorted(range(len(scores)), key=lambda epoch: (-accuracies[epoch], losses[epoch], epoch))
    assert kept == order[0] + 1


def test_the_patience_of_the_protocol():
    """Halved at the 11th epoch without progress, ended at the 15th, though the loss falls all the while."""
    schedule = Schedule(1e-3, 10, 15, 300)
    rates, kept = run(schedule, [0.5] * 40, [1 / epoch for epoch in range(1, 41)])
    assert rates == [1e-3] * 11 + [5e-4] * 5
    assert schedule.is_over
    assert kept == 16


def test_no_more_epochs_than_allowed():
    schedule = Schedule(1e-3, 10, 15, 3)
    rates, _ = run(schedule, [0.1, 0.2, 0.3, 0.4])
    assert len(rates) == 3
    assert schedule.is_over


def test_accuracy_comes_first():
    assert merit(0.5, 9.0) > merit(0.4, 0.1)
    assert merit(0.5, 0.1) > merit(0.5, 0.2)
    assert merit(0.5, 0.1) > merit(0.5, float("inf"))


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_a_first_epoch_is_kept_whatever_it_is_worth(accuracy):
    assert Schedule(1e-3, 10, 15, 300).judge(accuracy, 1e9)
