"""Sub-commands that fit and compute representations."""

import argparse
from collections.abc import Callable
from pathlib import Path

from lorascope.cli.bars import bar, watch_blocks
from lorascope.cli.options import log, origin_of, step
from lorascope.errors import LorascopeError


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    fit = step(commands, "fit", _fit, "fit a representation to the training part of one layer group")
    extract = step(commands, "extract", _extract, "compute one representation of one layer group")
    for each in (fit, extract):
        each.add_argument("--data", required=True, help="folder that `prepare` wrote")
        each.add_argument("--group", required=True, help="layer group")
        each.add_argument("--representation", required=True, help="name of the representation")
        each.add_argument("--out", required=True, help="file to write")
    fit.add_argument("--adapters", required=True, help="label and split table")
    extract.add_argument("--fit", help="what `fit` wrote, for representations that are fitted")
    extract.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda", "auto"), help="what computes (default: cpu)"
    )
    extract.add_argument("--store", help="shared features: a folder or s3://bucket/prefix; needs --key")
    extract.add_argument("--dataset", default="", help="name of the data set, told in the store")


def _fit(options: argparse.Namespace) -> None:
    from lorascope.data.labels import training_rows
    from lorascope.data.weights import GroupWeights
    from lorascope.features.fit import fit
    from lorascope.study import steps

    weights = GroupWeights.open(options.data, options.group)
    settings = {"representation": options.representation, "group": options.group}
    origin = origin_of(options, settings, *steps.fit(options.representation))
    fit(weights, options.representation, training_rows(options.adapters), options.out, origin)


def _extract(options: argparse.Namespace) -> None:
    from lorascope.data.weights import GroupWeights
    from lorascope.study import steps

    weights = GroupWeights.open(options.data, options.group)
    settings = {"representation": options.representation, "group": options.group}
    device = _extraction_device(options)
    origin = origin_of(options, settings, *steps.extract(options.representation), device=device)

    def compute() -> None:
        _compute(options, weights, device, origin)

    if options.store is None:
        compute()
    else:
        _share(options, weights.n_adapters, origin, compute)


def _share(options: argparse.Namespace, n_adapters: int, origin: dict, compute: Callable[[], None]) -> None:
    from lorascope.store.features import feature_address, feature_inputs
    from lorascope.store.places import open_place
    from lorascope.store.share import share

    if not options.key:
        raise LorascopeError("--store: a store is ordered by keys; give --key too")
    inputs = feature_inputs(options.data, options.group, options.fit)
    address = feature_address(options.representation, options.key, options.group, inputs)
    told = {name: origin[name] for name in ("settings", "code", "device", "versions")}
    about = {"dataset": options.dataset, "adapters": n_adapters, **inputs, **told}
    place = open_place(options.store)
    share(place, address, about, compute, Path(options.out), log)


def _compute(options: argparse.Namespace, weights, device: str, origin: dict) -> None:
    from lorascope.features.extract import FeatureFile, extract
    from lorascope.features.layers import extract_layers
    from lorascope.features.registry import is_layered

    if is_layered(options.representation):
        extract_layers(weights, options.representation, options.out, options.fit, origin)
    else:
        file = FeatureFile(options.representation, options.out, origin)
        total = weights.n_adapters * len(weights.matrices)
        with bar(f"extract {options.representation}", total) as advance:
            extract(weights, [file], blocks=watch_blocks(_blocks_on(device), advance))


def _extraction_device(options: argparse.Namespace) -> str:
    from lorascope.devices import choose_device
    from lorascope.features.registry import is_layered

    if not is_layered(options.representation):
        return choose_device(options.device)
    if options.device == "cuda":
        raise LorascopeError(
            f"--device cuda: '{options.representation}' is computed on the CPU; use --device cpu or auto"
        )
    return "cpu"


def _blocks_on(device: str):
    if device == "cpu":
        from lorascope.features.extract import host_blocks

        return host_blocks
    from lorascope.features.device_blocks import DeviceBlocks

    return DeviceBlocks(device)
