"""The sub-command that shows what is done."""

import argparse
import json

from lorascope.cli.options import command


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    progress = command(commands, "progress", _progress, "show what is done and what is left")
    progress.add_argument("--configfile", nargs="*", default=[], help="settings on top of the default study")
    progress.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="single settings")
    progress.add_argument("--json", action="store_true", help="print JSON")


def _progress(options: argparse.Namespace) -> None:
    from lorascope.study.config import load_config, read_config
    from lorascope.study.plan import Plan
    from lorascope.study.progress import cell_states, print_grid, run_line, run_state, step_counts

    plan = Plan(load_config(read_config(options.configfile, options.config)))
    plan.check()
    unusable = {name: plan.unusable(name) for name in plan.left_out}
    run, states, steps = run_state(plan), cell_states(plan), step_counts(plan)
    if options.json:
        print(json.dumps({"run": run, "steps": steps, "cells": states, "unusable": unusable}, indent=2))
    else:
        print_grid(states, steps)
        for reason in unusable.values():
            print(f"Cannot be used: {reason}")
        print(run_line(run))
