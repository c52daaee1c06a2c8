"""The sub-command that trains one cell."""

import argparse

from lorascope.cli.options import json_list, json_map, log, origin_of, step
from lorascope.errors import LorascopeError


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    train = step(commands, "train", _train, "train one cell: all seeds of a block")
    _add_cell(train)
    train.add_argument("--first-seed", type=int, required=True, help="seed of the block's first run")
    train.add_argument("--last-seed", type=int, required=True, help="seed of the block's last run")
    train.add_argument("--out", required=True, help="the cell's folder")

    _add_scale(commands)


def _add_cell(command: argparse.ArgumentParser) -> None:
    for name in ("dataset", "layer-set", "representation", "probe"):
        command.add_argument(f"--{name}", required=True, help="part of the cell's name")
    command.add_argument("--features", nargs="+", required=True, help="feature files")
    command.add_argument("--adapters", required=True, help="label and split table")
    command.add_argument(
        "--layers", type=json_list, required=True, help="layers that the probe sees, as JSON"
    )
    command.add_argument("--settings", type=json_map, required=True, help="the probe's settings as JSON")
    command.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda", "auto"), help="what computes (default: cpu)"
    )


def _add_scale(commands) -> None:
    scale = step(commands, "scale", _scale, "train one cell on shares of its training part")
    _add_cell(scale)
    scale.add_argument("--fractions", type=json_list, required=True, help="shares, as JSON")
    scale.add_argument("--first-seed", type=int, required=True, help="seed of the first draw")
    scale.add_argument("--seeds", type=int, required=True, help="number of draws")
    scale.add_argument("--out", required=True, help="the table to write")


def _scale(options: argparse.Namespace) -> None:
    from lorascope.devices import choose_device
    from lorascope.probes.curve import train_curve
    from lorascope.probes.train import load_cell
    from lorascope.study import steps
    from lorascope.study.config import load_section

    names = {name: getattr(options, name) for name in ("dataset", "layer_set", "representation", "probe")}
    device = choose_device(options.device)
    lines = train_curve(
        load_cell(names, options.features, options.adapters, options.layers),
        load_section(options.probe, options.settings),
        options.fractions,
        range(options.first_seed, options.first_seed + options.seeds),
        device,
        options.threads,
        options.out,
        origin_of(options, options.settings, *steps.scale(options.probe, options.settings), device=device),
    )
    for line in lines:
        log(line)


def _train(options: argparse.Namespace) -> None:
    from lorascope.devices import choose_device
    from lorascope.probes.train import load_cell, train_block
    from lorascope.study import steps
    from lorascope.study.config import load_section

    names = {name: getattr(options, name) for name in ("dataset", "layer_set", "representation", "probe")}
    seeds = range(options.first_seed, options.last_seed + 1)
    if not seeds:
        raise LorascopeError(f"--last-seed {options.last_seed} is before --first-seed {options.first_seed}")
    settings = load_section(options.probe, options.settings)
    device = choose_device(options.device)
    origin = origin_of(options, options.settings, *steps.train(options.probe, settings), device=device)
    lines = train_block(
        lambda: load_cell(names, options.features, options.adapters, options.layers),
        settings,
        seeds,
        device,
        options.threads,
        options.out,
        origin,
    )
    for line in lines:
        log(line)
