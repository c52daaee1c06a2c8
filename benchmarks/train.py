"""`make bench-train`: ten seeds of the probe `mlp` against ten plain PyTorch trainings, in one run.

Random features with a weak signal, 1,000 adapters, 10 classes, the protocol of the study. Both sides may use
all cores: the plain loop through torch's own threads, the probe as the workflow does, a process a core. The
sides take turns, and a ratio is the median of the rounds. They draw other random numbers, hence stop after
other epochs: the ratio an epoch is beside the ratio of the whole.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from plain_torch_mlp import train_plain

from lorascope.probes.mlp import MLPSettings, train_mlp
from lorascope.probes.runs import Part, Run

RESULTS = Path(__file__).parent / "results"
SHARES = {"train": 700, "validation": 100, "test": 200}
CLASSES = 10


def make_parts(n_features: int, seed: int = 0) -> dict[str, Part]:
    """Draw features in which classes overlap, so that training neither stops at once nor runs to the end."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3 / np.sqrt(n_features), (CLASSES, n_features))
    parts = {}
    for name, n in SHARES.items():
        classes = np.arange(n) % CLASSES
        features = centres[classes] + rng.standard_normal((n, n_features))
        parts[name] = Part(features.astype(np.float32), classes)
    return parts


def measure(n_features: int, seeds: range, device: str, cores: int, rounds: int) -> dict:
    """Time the sides in turn on the same parts; return one row of the table."""
    parts, settings, short = make_parts(n_features), MLPSettings(), MLPSettings(epochs=1)
    with ProcessPoolExecutor(cores, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        sides = {
            "plain": lambda settings: [_train_plain(parts, settings, seed) for seed in seeds],
            "one batch": lambda settings: _outcomes(
                parts, list(train_mlp(parts, CLASSES, settings, seeds, device, as_one_batch=True))
            ),
        }
        if device == "cpu":
            sides["a process a core"] = lambda settings: list(
                pool.map(_train_one, *zip(*((parts, settings, seed) for seed in seeds), strict=True))
            )
        for train in sides.values():
            # The first use of a kernel and of torch.optim costs seconds that are not the training's.
            train(short)
        rounds_ = [{name: _timed(train, settings) for name, train in sides.items()} for _ in range(rounds)]
    return _row(n_features, len(seeds), rounds_)


def _train_plain(parts: dict[str, Part], settings: MLPSettings, seed: int) -> tuple[float, int]:
    outcome = train_plain(parts, CLASSES, settings, seed)["loss"]
    return outcome.test, outcome.epochs


def _train_one(parts: dict[str, Part], settings: MLPSettings, seed: int) -> tuple[float, int]:
    (outcome,) = _outcomes(parts, list(train_mlp(parts, CLASSES, settings, [seed])))
    return outcome


def _outcomes(parts: dict[str, Part], runs: list[Run]) -> list[tuple[float, int]]:
    """Return test accuracy and epochs of each run."""
    truth = parts["test"].classes
    return [
        (float((run.log_probabilities["test"].argmax(axis=1) == truth).mean()), run.epochs) for run in runs
    ]


def _timed(train: Callable, settings: MLPSettings) -> tuple[float, list[tuple[float, int]]]:
    """Return the seconds that the seeds of a side take, and their outcomes."""
    started = time.perf_counter()
    outcomes = train(settings)
    return time.perf_counter() - started, outcomes


def _row(n_features: int, n_seeds: int, rounds: list[dict]) -> dict:
    """Return medians over rounds; ``own`` is how the workflow trains on that device: the last side."""
    own = list(rounds[0])[-1]
    seconds = {name: float(np.median([one[name][0] for one in rounds])) for name in rounds[0]}
    ratios = [one["plain"][0] / one[own][0] for one in rounds]
    outcomes = {name: rounds[0][name][1] for name in ("plain", own)}
    epochs = {name: sum(count for _, count in found) for name, found in outcomes.items()}
    middle = float(np.median(ratios))
    return {
        "features": n_features,
        "seeds": n_seeds,
        **{f"{name} s": f"{value:.1f}" for name, value in seconds.items()},
        "ratio": f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f} in {len(rounds)} rounds)",
        "plain epochs": epochs["plain"],
        "probe epochs": epochs[own],
        "ratio an epoch": f"{middle * epochs[own] / epochs['plain']:.2f}",
        "plain test accuracy": _mean_and_error([accuracy for accuracy, _ in outcomes["plain"]]),
        "probe test accuracy": _mean_and_error([accuracy for accuracy, _ in outcomes[own]]),
    }


def _mean_and_error(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


def main() -> None:
    """Print the table and write it to benchmarks/results/train-<device>.md and .csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, nargs="+", default=[640, 4096])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.cores)
    seeds = range(42, 42 + options.seeds)
    rows = [
        measure(count, seeds, options.device, options.cores, options.rounds) for count in options.features
    ]
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0])]
    lines += [" | ".join(map(str, row.values())) for row in rows]
    machine = f"{options.cores} cores, {platform.machine()}, torch {torch.__version__}, {options.device}"
    table = "\n".join(f"| {line} |" for line in lines)
    text = f"Measured {date.today()} on {machine}; ± is the standard error over seeds.\n\n{table}\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"train-{options.device.replace(':', '')}.md").write_text(text)
    csv = "\n".join(line.replace(" | ", ",") for line in [lines[0], *lines[2:]])
    (RESULTS / f"train-{options.device.replace(':', '')}.csv").write_text(csv + "\n")


if __name__ == "__main__":
    main()
