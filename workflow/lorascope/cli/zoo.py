"""Sub-commands that make a zoo."""

import argparse
import json
from pathlib import Path

from lorascope.cli.options import command, json_map, step
from lorascope.errors import LorascopeError


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    base = step(commands, "zoo-base", _zoo_base, "train the zoo's base model")
    train = step(commands, "zoo-train", _zoo_train, "train one block of the zoo's adapters")
    picture = step(commands, "zoo-picture", _zoo_picture, "draw what the base and some adapters generate")
    for each in (base, train, picture):
        each.add_argument("--settings", type=json_map, default={}, help="the zoo's recipe as JSON")
        each.add_argument("--out", required=True, help="file to write")
    for each in (train, picture):
        each.add_argument("--base", help="a base model of your own (default: the one that is shipped)")
    train.add_argument("--block", type=int, required=True, help="number of the block")
    picture.add_argument("--shards", nargs="+", required=True, help="the zoo's .safetensors files")
    compare = command(
        commands, "zoo-compare", _zoo_compare, "tell whether a base is as good as the shipped one"
    )
    compare.add_argument("base", help="a .safetensors file of zoo-base")
    compare.add_argument("--out", required=True, help="JSON file to write")
    export = command(commands, "zoo-export", _zoo_export, "write one adapter of a zoo as a PEFT folder")
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
    from lorascope.zoo.samples import draw_samples

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
