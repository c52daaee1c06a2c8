"""The sub-command that runs the controls of a study."""

import argparse

from lorascope.cli.options import json_map, log, origin_of, step
from lorascope.errors import LorascopeError


def add(commands) -> None:
    """Add the sub-command to ``lorascope``."""
    control = step(commands, "control", _control, "ask what could score as well without reading the adapters")
    control.add_argument("--config", type=json_map, required=True, help="the study's settings as JSON")
    control.add_argument("--dataset", required=True, help="name of the data set")
    control.add_argument("--out", required=True, help="folder to write into")


def _control(options: argparse.Namespace) -> None:
    from lorascope.controls.run import certify_representations, run_controls
    from lorascope.study import steps
    from lorascope.study.config import load_config
    from lorascope.study.plan import Plan

    plan, dataset = Plan(load_config(options.config)), options.dataset
    if options.key and options.key != plan.control_key(dataset):
        raise LorascopeError(
            f"{dataset}: data or code changed while the study ran; run snakemake again to finish it"
        )
    settings = plan.control_settings()
    origin = origin_of(options, settings, *steps.CONTROL)
    adapters = f"{plan.label_folder(dataset)}/adapters.parquet"
    layer_sets = {name: plan.layer_set(dataset, name) for name in plan.config["layer_sets"]}
    _, norms = plan.passport(dataset)
    features = plan.control_features(dataset)
    for line in run_controls(adapters, norms, features, layer_sets, settings, options.out, origin):
        log(line)
    for line in certify_representations(plan.data_folder(dataset), adapters, features, options.out, origin):
        log(line)
