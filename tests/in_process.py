"""Run every step of a study in this process, by the commands and paths that the workflow would use."""

import json
from pathlib import Path

from lorascope.cli import main
from lorascope.study.analyses import analyses
from lorascope.study.config import load_config
from lorascope.study.plan import Plan


def run_study(config: dict) -> Plan:
    """Run a study of one data set in the working directory, up to the summary; return its plan."""
    plan = Plan(load_config(config))
    (dataset,) = plan.config["dataset"]
    train_cells(plan, dataset)
    summarise(plan, dataset)
    return plan


def run_to_tables(config: dict) -> Plan:
    """Run all that the default target would, up to the summary; return the plan."""
    plan = Plan(load_config(config))
    (dataset,) = plan.config["dataset"]
    train_cells(plan, dataset)
    data, labels = plan.data_folder(dataset), plan.label_folder(dataset)
    step("passport", data=data, labels=labels, out=folder_of(plan.passport(dataset)))
    step("control", config=json.dumps(plan.config), dataset=dataset, out=folder_of(plan.controls(dataset)))
    rank_layers(plan, dataset)
    draw_map(plan, dataset)
    summarise(plan, dataset)
    return plan


def write_page(plan: Plan) -> None:
    (dataset,) = plan.config["dataset"]
    step("report", summary=plan.named(dataset, "summary"), out=plan.named(dataset, "report"))


def train_cells(plan: Plan, dataset: str) -> None:
    data, labels = plan.data_folder(dataset), plan.label_folder(dataset)
    settings = json.dumps(plan.settings(dataset))
    step("prepare", dataset=dataset, settings=settings, grouping=plan.config["grouping"], out=data)
    step("label", data=data, settings=json.dumps(plan.label_settings(dataset)), out=labels)
    cells = plan.cells(dataset)
    for path in dict.fromkeys(path for cell in cells for path in cell.features):
        extract(plan, dataset, path)
    for cell in cells:
        train(plan, cell, f"{labels}/adapters.parquet")


def rank_layers(plan: Plan, dataset: str) -> None:
    ranked = analyses(plan, dataset)["importance"]
    for path in ranked.features:
        if not Path(path).exists():
            extract(plan, dataset, path)
    words = ["importance", "--features", *ranked.features, "--layers", json.dumps(ranked.layers)]
    words += ["--adapters", f"{plan.label_folder(dataset)}/adapters.parquet"]
    words += ["--settings", json.dumps(plan.config["importance"])]
    assert main([*words, "--out", folder_of(ranked.files.values())]) == 0


def draw_map(plan: Plan, dataset: str) -> None:
    words = ["adapter-map", "--data", plan.data_folder(dataset), "--groups", *plan.groups(dataset)]
    words += ["--adapters", f"{plan.label_folder(dataset)}/adapters.parquet"]
    words += ["--settings", json.dumps(plan.config["adapter_map"])]
    assert main([*words, "--out", *analyses(plan, dataset)["adapter_map"].files.values()]) == 0


def folder_of(paths) -> str:
    return next(iter(paths)).rpartition("/")[0]


def summarise(plan: Plan, dataset: str) -> None:
    told = json.dumps(plan.config)
    step("aggregate", config=told, dataset=dataset, out=plan.named(dataset, "summary"))


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
