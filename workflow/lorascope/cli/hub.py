"""Sub-commands on data sets of the hub: fetch one, and move the commit that is kept."""

import argparse
from pathlib import Path

from lorascope.cli.bars import bar
from lorascope.cli.options import command, origin_of, step
from lorascope.errors import LorascopeError


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    data = command(commands, "data", None, "data sets on the hub: move the commit that is kept")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    update = command(actions, "update", _update, "make a data set what its revision on the hub is now")
    update.add_argument("dataset", metavar="NAME", help="a name under `datasets`, or sparse for its images")
    update.add_argument("--configfile", nargs="*", default=[], help="settings on top of the default study")
    update.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="single settings")
    download = step(commands, "download", _download, "fetch a data set from the hub into its cache")
    download.add_argument("--pin", required=True, help="folder with pin.json")
    download.add_argument("--commit", help="the commit that was planned")
    download.add_argument("--out", required=True, help="file that says what is there")


def _update(options: argparse.Namespace) -> None:
    from lorascope.data.hub.changes import changes
    from lorascope.data.hub.pins import is_on_hub, move_pin
    from lorascope.study.config import load_config, read_config
    from lorascope.study.plan import Plan
    from lorascope.study.sparse_plan import SparsePlan

    plan = Plan(load_config(read_config(options.configfile, options.config)))
    sparse = SparsePlan(plan.config)
    if options.dataset == "sparse":
        settings, folder = sparse.image_settings, sparse.pin_folder
    else:
        settings, folder = plan.settings(options.dataset), plan.pin_folder(options.dataset)
    if not is_on_hub(settings):
        raise LorascopeError(
            f"{options.dataset}: not on the hub, source: {settings['source']}; nothing to update"
        )
    for line in changes(*move_pin(settings, folder)):
        print(line)


def _download(options: argparse.Namespace) -> None:
    from lorascope.data.hub.download import download
    from lorascope.data.hub.pins import PIN_FILE, read_pin
    from lorascope.study import steps

    pin = read_pin(options.pin)
    if pin is None:
        raise LorascopeError(
            f"{Path(options.pin, PIN_FILE)}: no such file; plan the study first: snakemake -n"
        )
    if options.commit and options.commit != pin.commit:
        raise LorascopeError(f"{pin.path}: updated since the run was planned; run snakemake again")
    origin = origin_of(options, {}, *steps.DOWNLOAD)
    with bar(f"download {pin.path}", pin.size) as advance:
        download(pin, options.out, origin, advance)
