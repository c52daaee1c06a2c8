"""Learning curves of a study over sizes of the training part: which there are, and their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorascope.probes.registry import reads
from lorascope.study import steps
from lorascope.study.keys import code_digest, key_of

if TYPE_CHECKING:
    from lorascope.study.plan import Cell, Plan


@dataclass(frozen=True)
class Curve:
    """The learning curve of one cell: its key, and the table that training on shares writes."""

    cell: Cell
    key: str
    path: str


def curve(plan: Plan, cell: Cell) -> Curve:
    """Return the learning curve of a cell."""
    config = plan.config
    code = code_digest(*steps.scale(cell.probe, config[cell.probe]))
    seeds = [config["first_seed"], config["seeds"]]
    key = key_of("scale", cell.key, config["scaling"]["fractions"], seeds, code)
    folder = plan.folder(cell.dataset, "scaling", cell.representation, f"{cell.layer_set}.{cell.probe}")
    return Curve(cell, key, f"{folder}/{key}.parquet")


def curves(plan: Plan, dataset: str) -> list[Curve]:
    """Return the learning curves of a data set; none where no shares are set."""
    settings = plan.config["scaling"]
    return [
        curve(plan, plan.cell(dataset, layer_set, representation, probe))
        for representation in settings["representations"] or plan.config["representations"]
        for layer_set in plan.config["layer_sets"]
        for probe in settings["probes"]
        if settings["fractions"] and reads(probe, representation)
    ]


def all_curves(plan: Plan) -> list[Curve]:
    """Return the learning curves of all data sets of the study."""
    return [found for dataset in plan.config["dataset"] for found in curves(plan, dataset)]


def scaling_key(plan: Plan) -> str:
    """Return the key of the curves of all data sets together."""
    return key_of("scaling", [found.key for found in all_curves(plan)], code_digest(*steps.SCALING))
