"""`make bench-train`: ten seeds of the probe `mlp` against ten plain PyTorch trainings, in one run.

Random features with a weak signal, 1,000 adapters, 10 classes, the protocol of the study. Both sides may use
all cores: the plain loop through torch's own threads, the probe with a seed a thread.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
from plain_torch_mlp import train_plain

from lorascope.probes.mlp import MLPSettings, train_mlp
from lorascope.probes.runs import Part

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


def measure(n_features: int, seeds: range, device: str, threads: int) -> dict:
    """Time both sides on the same parts; return one row of the table."""
    parts, settings = make_parts(n_features), MLPSettings()
    # The first use of a kernel and of torch.optim costs seconds that are not the training's.
    short = MLPSettings(epochs=1)
    train_plain(parts, CLASSES, short, 0)
    list(train_mlp(parts, CLASSES, short, [0], device, threads))
    one_batch, _ = _timed(lambda: list(train_mlp(parts, CLASSES, settings, seeds, device, threads, True)))
    own, runs = _timed(lambda: list(train_mlp(parts, CLASSES, settings, seeds, device, threads)))
    looped, plain = _timed(lambda: [train_plain(parts, CLASSES, settings, seed) for seed in seeds])
    truth = parts["test"].classes
    ours = [float((run.log_probabilities["test"].argmax(axis=1) == truth).mean()) for run in runs]
    return {
        "features": n_features,
        "seeds": len(seeds),
        "plain s": f"{looped:.1f}",
        "probe s": f"{own:.1f}",
        "ratio": f"{looped / own:.2f}",
        "probe as one batch s": f"{one_batch:.1f}",
        "plain test accuracy": _mean_and_error(plain),
        "probe test accuracy": _mean_and_error(ours),
    }


def _timed(function: Callable):
    """Return the seconds that a call takes, and its result."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def _mean_and_error(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


def main() -> None:
    """Print the table and write it to benchmarks/results/train-<device>.md and .csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, nargs="+", default=[640, 4096])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [
        measure(count, range(42, 42 + options.seeds), options.device, options.threads)
        for count in options.features
    ]
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0])]
    lines += [" | ".join(map(str, row.values())) for row in rows]
    machine = f"{options.threads} threads, {platform.machine()}, torch {torch.__version__}, {options.device}"
    table = "\n".join(f"| {line} |" for line in lines)
    text = f"Measured {date.today()} on {machine}; ± is the standard error over seeds.\n\n{table}\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"train-{options.device.replace(':', '')}.md").write_text(text)
    csv = "\n".join(line.replace(" | ", ",") for line in [lines[0], *lines[2:]])
    (RESULTS / f"train-{options.device.replace(':', '')}.csv").write_text(csv + "\n")


if __name__ == "__main__":
    main()
