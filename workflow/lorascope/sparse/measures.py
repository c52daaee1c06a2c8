"""What is measured of one run, alone and against the dense and the uniform run of the same seed."""

import numpy as np

from lorascope.sparse.runs import Run

CLOCKS = ("seconds", "cpu_seconds")
# How far below dense's final validation accuracy a run may stay and still have reached it.
TARGET_MARGIN = 0.003
# Of the epochs, left out of the settled activation rate: controllers need a while.
SETTLING = 0.1
# Shares of answers, or of samples; what is saved against something else; what is above 0.
SHARES = ("validation_accuracy", "test_accuracy", "activation_rate", "settled_rate")
SAVED = ("energy_saved", "flops_saved", *(f"{clock}_saved" for clock in CLOCKS))
DIFFERENCES = (
    *("epochs_vs_dense", "time_vs_dense", "test_vs_dense"),
    *("epochs_vs_uniform", "time_vs_uniform", "test_vs_uniform"),
)


def measures(run: Run, dense: Run | None) -> dict[str, float | None]:
    """Return the measures of a run.

    Accuracies are those after the last epoch. ``energy_saved`` is in the units of the gates' energy model,
    ``flops_saved`` in floating-point operations, scoring included; both against training on every candidate.
    ``reach_<clock>`` is the time at which validation accuracy first comes within ``TARGET_MARGIN`` of the
    final one of dense, ``reach_share_<clock>`` the same over all of dense's time; None if it never does.

    Args:
        run: the run.
        dense: the dense run of the same seed.
    """
    cost = run.about["flops_per_sample"]
    settled = run.epochs["epoch"] > SETTLING * len(run.epochs["epoch"])
    trained, skipped = (run.epochs[f"samples_{what}"] for what in ("trained", "skipped"))
    found: dict[str, float | None] = {
        "validation_accuracy": run.last("validation_accuracy"),
        "test_accuracy": run.last("test_accuracy"),
        "activation_rate": float(trained.sum() / (trained + skipped).sum()),
        "settled_rate": float(trained[settled].sum() / (trained + skipped)[settled].sum()),
        "energy_saved": 1 - run.total("energy_used") / run.total("energy_dense"),
        "flops": run.flops,
        "flops_saved": 1 - run.flops / (run.candidates * (cost["forward"] + cost["backward"])),
    }
    for clock in CLOCKS:
        reached = time_to_target(run, dense, clock) if dense else None
        found[clock] = run.total(clock)
        found[f"{clock}_saved"] = 1 - run.total(clock) / dense.total(clock) if dense else None
        found[f"reach_{clock}"] = reached
        found[f"reach_share_{clock}"] = None if reached is None else reached / dense.total(clock)
    return found


def differences(run: Run, dense: Run | None, uniform: Run | None) -> dict[str, float | None]:
    """Return how much more accurate a run is than others of the same seed: fractions.

    ``epochs_vs_…``: validation accuracy after the last epoch. ``time_vs_…``: at the end of whichever of the
    two ends first, the other interpolated. ``test_vs_…``: test accuracy after the last epoch.
    """
    found = {}
    for name, other in (("dense", None if run.gate == "dense" else dense), ("uniform", uniform)):
        found[f"epochs_vs_{name}"] = _difference(run, other, "validation_accuracy")
        found[f"test_vs_{name}"] = _difference(run, other, "test_accuracy")
        found[f"time_vs_{name}"] = at_equal_time(run, other) if other else None
    return found


def _difference(run: Run, other: Run | None, column: str) -> float | None:
    return run.last(column) - other.last(column) if other else None


def learning_curve(run: Run, clock: str = "seconds") -> tuple[np.ndarray, np.ndarray]:
    """Return training times [epochs + 1] and validation accuracies, from guessing at time 0."""
    times = np.concatenate([[0], run.epochs[clock].cumsum()])
    return times, np.concatenate([[run.chance], run.epochs["validation_accuracy"]])


def at_equal_time(run: Run, other: Run, clock: str = "seconds") -> float:
    """Return the difference in validation accuracy when the first of the two runs ends."""
    end = min(run.total(clock), other.total(clock))
    mine, others = (float(np.interp(end, *learning_curve(each, clock))) for each in (run, other))
    return mine - others


def time_to_target(run: Run, dense: Run, clock: str = "seconds") -> float | None:
    """Return when the interpolated validation accuracy first reaches dense's final one, less the margin."""
    target = dense.last("validation_accuracy") - TARGET_MARGIN
    times, accuracies = learning_curve(run, clock)
    reached = np.flatnonzero(accuracies >= target)
    if not len(reached):
        return None
    after = reached[0]
    if after == 0:
        return 0.0
    step = (target - accuracies[after - 1]) / (accuracies[after] - accuracies[after - 1])
    return float(times[after - 1] + step * (times[after] - times[after - 1]))
