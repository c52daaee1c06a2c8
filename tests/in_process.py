"""Run every step of a study in this process, by the commands and paths that the workflow would use."""

import json

from lorascope.cli import main
from lorascope.study.config import load_config
from lorascope.study.plan import Plan


def run_study(config: dict) -> Plan:
    """Run a study of one data set in the working directory, up to the summary; return its plan."""
    plan = Plan(load_config(config))
    (dataset,) = plan.config["dataset"]
    data, labels = plan.data_folder(dataset), plan.label_folder(dataset)
    settings = json.dumps(plan.settings(dataset))
    step("prepare", dataset=dataset, settings=settings, grouping=plan.config["grouping"], out=data)
    step("label", data=data, settings=json.dumps(plan.label_settings(dataset)), out=labels)
    cells = plan.cells(dataset)
    for path in dict.fromkeys(path for cell in cells for path in cell.features):
        extract(plan, dataset, path)
    for cell in cells:
        train(plan, cell, f"{labels}/adapters.parquet")
    told = json.dumps(plan.config)
    step("aggregate", config=told, dataset=dataset, out=plan.named(dataset, "summary"))
    return plan


def step(name: str, **options) -> None:
    """Run one sub-command and expect success."""
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    assert main([name, *words]) == 0


def extract(plan: Plan, dataset: str, path: str) -> None:
    representation, group = path.split("/")[-3], path.split("/")[-1].removesuffix(".parquet")
    about = {"data": plan.data_folder(dataset), "group": group, "representation": representation}
    fit = plan.fit_file(dataset, representation, group)
    if fit:
        step("fit", adapters=f"{plan.label_folder(dataset)}/adapters.parquet", out=fit[0], **about)
    step("extract", out=path, **about, **({"fit": fit[0]} if fit else {}))


def train(plan: Plan, cell, adapters: str) -> None:
    for block in cell.blocks:
        words = ["train", "--features", *cell.features, "--layers", json.dumps(cell.layers)]
        names = {name: getattr(cell, name) for name in ("dataset", "layer_set", "representation", "probe")}
        names |= {"adapters": adapters, "settings": json.dumps(plan.config[cell.probe]), "out": cell.folder}
        names |= {"first_seed": block.first, "last_seed": block.last}
        for key, value in names.items():
            words += [f"--{key.replace('_', '-')}", str(value)]
        assert main(words) == 0
