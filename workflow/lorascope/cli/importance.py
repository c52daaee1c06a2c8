"""Sub-commands beside the cells: which layers hold the label, and the map of adapters."""

import argparse

from lorascope.cli.options import json_list, json_map, log, origin_of, step


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    rank = step(commands, "importance", _importance, "rank the layers by what they tell of the label")
    rank.add_argument("--features", nargs="+", required=True, help="feature files")
    rank.add_argument("--layers", type=json_list, required=True, help="layers to rank, as JSON")
    rank.add_argument("--settings", type=json_map, required=True, help="section `importance` as JSON")
    rank.add_argument("--out", required=True, help="folder to write into")
    draw = step(commands, "adapter-map", _map, "place adapters by the leading differences of their updates")
    draw.add_argument("--data", required=True, help="folder that `prepare` wrote")
    draw.add_argument("--groups", nargs="+", required=True, help="layer groups")
    draw.add_argument("--settings", type=json_map, required=True, help="section `adapter_map` as JSON")
    draw.add_argument("--out", required=True, help="file to write")
    for each in (rank, draw):
        each.add_argument("--adapters", required=True, help="label and split table")


def _importance(options: argparse.Namespace) -> None:
    from lorascope.probes.importance import ImportanceSettings, write_importance
    from lorascope.study import steps
    from lorascope.study.config import load_section

    settings = load_section("importance", options.settings)
    origin = origin_of(options, settings, *steps.IMPORTANCE)
    lines = write_importance(
        options.features,
        options.adapters,
        options.layers,
        ImportanceSettings(**settings),
        options.out,
        origin,
    )
    for line in lines:
        log(line)


def _map(options: argparse.Namespace) -> None:
    from lorascope.features.adapter_map import write_map
    from lorascope.study import steps
    from lorascope.study.config import load_section

    settings = load_section("adapter_map", options.settings)
    origin = origin_of(options, settings, *steps.ADAPTER_MAP)
    write_map(options.data, options.groups, options.adapters, settings["adapters"], options.out, origin)
