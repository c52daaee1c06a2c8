"""What a study computes beside its cells, once a data set: layer importance, and the map of adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorascope.adapters.layer_sets import reference_layer_set
from lorascope.study import steps
from lorascope.study.keys import code_digest, key_of

if TYPE_CHECKING:
    from lorascope.study.plan import Plan


@dataclass(frozen=True)
class Analysis:
    """One job's files.

    Attributes:
        key: content address.
        files: name → path of what it writes.
        log: where it logs.
        features: feature files that it reads.
        layers: layers that it looks at.
    """

    key: str
    files: dict[str, str]
    log: str
    features: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


def importance(plan: Plan, dataset: str) -> Analysis | None:
    """Return the step that ranks the layers of the reference layer set; None where it is switched off."""
    settings = plan.config["importance"]
    representation = settings["representation"]
    if representation is None:
        return None
    layers = plan.layer_set(dataset, reference_layer_set(plan.config["layer_sets"]))
    features = plan.features(dataset, representation, layers)
    upstream = [key for key, _ in features], plan.label_key(dataset)
    key = key_of("importance", *upstream, layers, settings, code_digest(*steps.IMPORTANCE))
    folder = plan.folder(dataset, "importance", representation, key)
    return Analysis(
        key,
        {name: f"{folder}/{name}.parquet" for name in ("answers", "folds")},
        f"logs/{dataset}/rank_layers/{representation}.{key}.log",
        tuple(path for _, path in features),
        tuple(layers),
    )


def adapter_map(plan: Plan, dataset: str) -> Analysis | None:
    """Return the step that draws the map of adapters; None where it is switched off."""
    settings = plan.config["adapter_map"]
    if not settings["adapters"]:
        return None
    upstream = plan.data_key(dataset), plan.label_key(dataset)
    key = key_of("adapter_map", *upstream, settings, code_digest(*steps.ADAPTER_MAP))
    path = plan.folder(dataset, "adapter_map", key, "map.parquet")
    return Analysis(key, {"map": path}, f"logs/{dataset}/adapter_map/{key}.log")


def analyses(plan: Plan, dataset: str) -> dict[str, Analysis]:
    """Return the analyses of a data set that are not switched off, by name."""
    found = {"importance": importance(plan, dataset), "adapter_map": adapter_map(plan, dataset)}
    return {name: analysis for name, analysis in found.items() if analysis}
