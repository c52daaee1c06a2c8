"""Sub-commands of adaptive sparse training."""

import argparse

from lorascope.cli.options import json_map, log, origin_of, step


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    train = step(commands, "sparse-train", _train, "train an image classifier on what a gate activates")
    train.add_argument("--images", required=True, help="folder of prepared images")
    train.add_argument(
        "--settings",
        type=json_map,
        required=True,
        help='JSON such as {"gate": "uniform@0.5", "epochs": 10}; gate: NAME or NAME@RATE',
    )
    train.add_argument("--seed", type=int, required=True, help="seed of the run")
    train.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda", "auto"), help="what computes (default: cpu)"
    )
    train.add_argument("--out", required=True, help="the run's folder")


def _train(options: argparse.Namespace) -> None:
    from lorascope.devices import choose_device
    from lorascope.sparse.settings import TrainSettings
    from lorascope.sparse.train import train
    from lorascope.study import steps

    settings = TrainSettings.from_json(options.settings)
    device = choose_device(options.device)
    origin = origin_of(options, options.settings, *steps.sparse_train(settings.gate), device=device)
    for line in train(options.images, settings, options.seed, device, options.out, origin):
        log(line)
