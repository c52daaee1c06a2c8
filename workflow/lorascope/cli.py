"""The command ``lorascope``: one sub-command a step. Heavy imports wait until the step is known."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lorascope import __version__
from lorascope.errors import LorascopeError

EXIT_BAD_INPUT = 2
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 with one line on stderr for bad input."""
    options = _parser().parse_args(arguments)
    if getattr(options, "threads", None):
        _limit_threads(options.threads)
    try:
        options.run(options)
        sys.stdout.flush()
    except LorascopeError as error:
        print(f"lorascope {options.command}: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _limit_threads(threads: int) -> None:
    """Libraries read these once, when they are loaded."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)


def _json_map(text: str) -> dict:
    return _json(text, dict, "a map")


def _json_list(text: str) -> list:
    return _json(text, list, "a list")


def _json(text: str, kind: type, name: str):
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, kind):
        raise argparse.ArgumentTypeError(f"not {name} in JSON: {text}")
    return value


class _Parser(argparse.ArgumentParser):
    """Answers a wrong argument with one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lorascope", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"lorascope {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_progress(commands)
    _add_zoo(commands)
    _add_data(commands)
    _add_features(commands)
    _add_train(commands)
    _add_results(commands)
    return parser


def _command(commands, name: str, run, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.set_defaults(run=run)
    return command


def _step(commands, name: str, run, summary: str) -> argparse.ArgumentParser:
    """Add a step of the workflow: it has a key and a number of threads."""
    command = _command(commands, name, run, summary)
    command.add_argument("--key", default="", help="content address, stored in what is written")
    command.add_argument("--threads", type=int, default=1, help="threads of the numerical libraries")
    return command


def _provenance(options: argparse.Namespace, settings: dict, *modules: str) -> dict:
    from lorascope.study.provenance import provenance

    return provenance(options.key, settings, modules)


# zoo


def _add_zoo(commands) -> None:
    base = _step(commands, "zoo-base", _zoo_base, "train the zoo's base model")
    train = _step(commands, "zoo-train", _zoo_train, "train one block of the zoo's adapters")
    picture = _step(commands, "zoo-picture", _zoo_picture, "draw what the base and some adapters generate")
    for command in (base, train, picture):
        command.add_argument("--settings", type=_json_map, default={}, help="the zoo's recipe as JSON")
        command.add_argument("--out", required=True, help="file to write")
    for command in (train, picture):
        command.add_argument("--base", help="a base model of your own (default: the one that is shipped)")
    train.add_argument("--block", type=int, required=True, help="number of the block")
    picture.add_argument("--shards", nargs="+", required=True, help="the zoo's .safetensors files")
    compare = _command(
        commands, "zoo-compare", _zoo_compare, "tell whether a base is as good as the shipped one"
    )
    compare.add_argument("base", help="a .safetensors file of zoo-base")
    compare.add_argument("--out", required=True, help="JSON file to write")
    export = _command(commands, "zoo-export", _zoo_export, "write one adapter of a zoo as a PEFT folder")
    export.add_argument("shard", help="a .safetensors file of the zoo")
    export.add_argument("adapter", help="id of the adapter")
    export.add_argument("folder", help="folder to write")


def _zoo_base(options: argparse.Namespace) -> None:
    import logging

    from lorascope.zoo.steps import train_base_file

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train_base_file(options.settings, options.out)


def _zoo_train(options: argparse.Namespace) -> None:
    from lorascope.zoo.steps import train_block_files

    table = Path(options.out).with_suffix(".parquet")
    train_block_files(options.settings, options.block, options.base, options.out, table)


def _zoo_picture(options: argparse.Namespace) -> None:
    from lorascope.zoo.steps import draw_samples

    draw_samples(options.settings, options.base, options.shards, options.out)


def _zoo_compare(options: argparse.Namespace) -> None:
    from lorascope.zoo.steps import compare_base_files

    found = compare_base_files(options.base, options.out)
    print(json.dumps(found, indent=2))
    if not found["as_good"]:
        raise LorascopeError(f"{options.base}: not as good as the shipped base")


def _zoo_export(options: argparse.Namespace) -> None:
    from lorascope.zoo.shards import export_adapter

    export_adapter(options.shard, options.adapter, options.folder)
    print(options.folder)


# data


def _add_data(commands) -> None:
    prepare = _step(commands, "prepare", _prepare, "lay a data set out for extraction")
    prepare.add_argument("--dataset", required=True, help="name of the data set")
    prepare.add_argument("--settings", type=_json_map, required=True, help="its entry in the config, as JSON")
    prepare.add_argument("--shards", nargs="*", default=[], help="the zoo's .safetensors files")
    prepare.add_argument("--grouping", default="attention", help="attention, block or layer")
    prepare.add_argument("--out", required=True, help="folder to write into")
    label = _step(commands, "label", _label, "write the label and split table")
    label.add_argument("--data", required=True, help="folder that `prepare` wrote")
    label.add_argument("--settings", type=_json_map, required=True, help="label, group and split, as JSON")
    label.add_argument("--out", required=True, help="folder to write into")


def _prepare(options: argparse.Namespace) -> None:
    from lorascope.data.prepare import prepare
    from lorascope.data.sources import open_source
    from lorascope.study import steps
    from lorascope.study.config import load_dataset

    settings = load_dataset(options.settings, options.dataset)
    source = open_source(settings, options.shards)
    origin = _provenance(options, settings, *steps.PREPARE)
    written = prepare(source, options.dataset, options.grouping, options.out, origin)
    counts = ", ".join(f"{written[name]} {name}" for name in ("adapters", "matrices", "parameters"))
    _log(f"{options.dataset}: {counts}")


def _label(options: argparse.Namespace) -> None:
    from lorascope.data.labels import label_adapters
    from lorascope.data.split import SplitSettings
    from lorascope.study import steps
    from lorascope.study.config import load_section

    origin = {"labels": _provenance(options, options.settings, *steps.LABEL)}
    try:
        label, group, split = (options.settings[name] for name in ("label", "group", "split"))
    except KeyError as missing:
        raise LorascopeError(f"--settings: no {missing}; give label, group and split") from None
    split = SplitSettings(**load_section("split", split or {}))
    manifest = label_adapters(options.data, label, group, split, options.out, origin)
    _log(f"{len(manifest['classes'])} classes, split {manifest['split']}")
    if manifest["duplicates"]:
        _log(f"{len(manifest['duplicates'])} set(s) of equal adapters, each kept in one part")


# features


def _add_features(commands) -> None:
    fit = _step(commands, "fit", _fit, "fit a representation to the training part of one layer group")
    extract = _step(commands, "extract", _extract, "compute one representation of one layer group")
    for command in (fit, extract):
        command.add_argument("--data", required=True, help="folder that `prepare` wrote")
        command.add_argument("--group", required=True, help="layer group")
        command.add_argument("--representation", required=True, help="name of the representation")
        command.add_argument("--out", required=True, help="file to write")
    fit.add_argument("--adapters", required=True, help="label and split table")
    extract.add_argument("--fit", help="what `fit` wrote, for representations that are fitted")
    extract.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda", "auto"), help="what computes (default: cpu)"
    )


def _fit(options: argparse.Namespace) -> None:
    from lorascope.data.labels import training_rows
    from lorascope.data.weights import GroupWeights
    from lorascope.features.fit import fit
    from lorascope.study import steps

    weights = GroupWeights.open(options.data, options.group)
    settings = {"representation": options.representation, "group": options.group}
    origin = _provenance(options, settings, *steps.fit(options.representation))
    fit(weights, options.representation, training_rows(options.adapters), options.out, origin)


def _extract(options: argparse.Namespace) -> None:
    from lorascope.data.weights import GroupWeights
    from lorascope.features.extract import FeatureFile, extract
    from lorascope.features.layers import extract_layers
    from lorascope.features.registry import is_layered
    from lorascope.study import steps

    weights = GroupWeights.open(options.data, options.group)
    settings = {"representation": options.representation, "group": options.group}
    origin = _provenance(options, settings, *steps.extract(options.representation))
    origin["device"] = device = _extraction_device(options)
    if is_layered(options.representation):
        extract_layers(weights, options.representation, options.out, options.fit, origin)
    else:
        file = FeatureFile(options.representation, options.out, origin)
        extract(weights, [file], blocks=_blocks_on(device))


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


# train


def _add_train(commands) -> None:
    train = _step(commands, "train", _train, "train one cell: all seeds of a block")
    for name in ("dataset", "layer-set", "representation", "probe"):
        train.add_argument(f"--{name}", required=True, help="part of the cell's name")
    train.add_argument("--features", nargs="+", required=True, help="feature files")
    train.add_argument("--adapters", required=True, help="label and split table")
    train.add_argument("--layers", type=_json_list, required=True, help="layers that the probe sees, as JSON")
    train.add_argument("--settings", type=_json_map, required=True, help="the probe's settings as JSON")
    train.add_argument("--first-seed", type=int, required=True, help="seed of the block's first run")
    train.add_argument("--last-seed", type=int, required=True, help="seed of the block's last run")
    train.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda", "auto"), help="what computes (default: cpu)"
    )
    train.add_argument("--out", required=True, help="the cell's folder")


def _train(options: argparse.Namespace) -> None:
    from lorascope.devices import choose_device
    from lorascope.probes.train import load_cell, train_block
    from lorascope.study import steps
    from lorascope.study.config import load_section

    names = {name: getattr(options, name) for name in ("dataset", "layer_set", "representation", "probe")}
    seeds = range(options.first_seed, options.last_seed + 1)
    if not seeds:
        raise LorascopeError(f"--last-seed {options.last_seed} is before --first-seed {options.first_seed}")
    origin = _provenance(options, options.settings, *steps.train(options.probe))
    lines = train_block(
        lambda: load_cell(names, options.features, options.adapters, options.layers),
        load_section(options.probe, options.settings),
        seeds,
        choose_device(options.device),
        options.threads,
        options.out,
        origin,
    )
    for line in lines:
        _log(line)


# results


def _add_results(commands) -> None:
    aggregate = _step(commands, "aggregate", _aggregate, "gather all cells into the summary tables")
    aggregate.add_argument("--config", type=_json_map, required=True, help="the study's settings as JSON")
    aggregate.add_argument("--dataset", required=True, help="name of the data set")
    aggregate.add_argument("--out", required=True, help="folder to write into")
    report = _step(commands, "report", _report, "write the page and the figures")
    report.add_argument("--summary", required=True, help="folder that `aggregate` wrote")
    report.add_argument("--picture", help="picture of the zoo's samples")
    report.add_argument("--out", required=True, help="folder to write into")
    compare = _command(commands, "compare", _compare, "put two studies side by side: settings and results")
    compare.add_argument("first", metavar="A", help="folder of a study, for example results/zoo")
    compare.add_argument("second", metavar="B", help="folder of another study or data set")
    compare.add_argument("--out", help="folder to write a page into (default: text only)")
    verdict = _command(commands, "verdict", _verdict, "say in a few lines what a finished study found")
    verdict.add_argument("--config", type=_json_map, required=True, help="the study's settings as JSON")
    salvage = _command(commands, "salvage", _salvage, "report on a study of which a part failed")
    salvage.add_argument("--config", type=_json_map, required=True, help="the study's settings as JSON")
    salvage.add_argument("--key", default="", help="key of the studies when they were planned")


def _aggregate(options: argparse.Namespace) -> None:
    from lorascope.stats.aggregate import aggregate
    from lorascope.study.config import load_config
    from lorascope.study.plan import Plan

    plan = Plan(load_config(options.config))
    if options.key and options.key != plan.study_key(options.dataset):
        raise LorascopeError(
            f"{options.dataset}: data or code changed while the study ran; run snakemake again to finish it"
        )
    aggregate(plan.aggregation(options.dataset), options.out)


def _report(options: argparse.Namespace) -> None:
    from lorascope.report.page import write_report
    from lorascope.report.text import verdict

    page = write_report(options.summary, options.out, options.picture, processes=options.threads)
    print(verdict(options.summary, page))


def _compare(options: argparse.Namespace) -> None:
    from lorascope.report.compare import compare, comparison_text, write_comparison

    comparison = compare(options.first, options.second)
    print(comparison_text(comparison), end="")
    if options.out:
        print(f"Page: {write_comparison(comparison, options.out)}")


def _verdict(options: argparse.Namespace) -> None:
    from lorascope.report.text import verdict
    from lorascope.study.config import load_config
    from lorascope.study.plan import Plan

    plan = Plan(load_config(options.config))
    for dataset in plan.config["dataset"]:
        page = Path(plan.folder(dataset, "report", "index.html"))
        if page.exists() and Path(plan.stamp(dataset)).exists():
            print(verdict(plan.folder(dataset, "summary"), page))


def _salvage(options: argparse.Namespace) -> None:
    from lorascope.study.config import load_config
    from lorascope.study.plan import Plan
    from lorascope.study.salvage import salvage

    plan = Plan(load_config(options.config))
    if options.key and options.key != plan.key():
        raise LorascopeError("data or code changed while the study ran; run snakemake again to finish it")
    for verdict in salvage(plan):
        print(verdict)


# progress


def _add_progress(commands) -> None:
    progress = _command(commands, "progress", _progress, "show what is done and what is left")
    progress.add_argument("--configfile", nargs="*", default=[], help="settings on top of the default study")
    progress.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="single settings")
    progress.add_argument("--json", action="store_true", help="print JSON")


def _progress(options: argparse.Namespace) -> None:
    from lorascope.study.config import load_config, read_config
    from lorascope.study.plan import Plan
    from lorascope.study.progress import cell_states, print_grid

    plan = Plan(load_config(read_config(options.configfile, options.config)))
    states = cell_states(plan)
    if options.json:
        print(json.dumps(states, indent=2))
    else:
        print_grid(states)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
