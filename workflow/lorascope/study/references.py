"""Which features a study refers to, by its settings or by its results."""

from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.features.registry import parts
from lorascope.study.config import load_config, read_config
from lorascope.study.plan import Plan

# Below a data set's folder, a results folder, a checkout.
_FEATURES = ("features/*/*", "*/features/*/*", "results/*/features/*/*")


def referenced_keys(study: str) -> set[str]:
    """Return the keys of all features that a study refers to.

    Args:
        study: a config file, or a folder of results, or one that holds such a folder.

    Raises:
        LorascopeError: there is no such study, or it refers to nothing (then everything would seem unused).
    """
    path = Path(study)
    if not path.exists():
        raise LorascopeError(f"{study}: no such file or folder; give a config file or a results folder")
    keys = _of_folder(path) if path.is_dir() else _of_config(study)
    if not keys:
        raise LorascopeError(f"{study}: no features of a study here; give its config file or results folder")
    return keys


def _of_folder(folder: Path) -> set[str]:
    return {path.name for pattern in _FEATURES for path in folder.glob(pattern) if path.is_dir()}


def _of_config(file: str) -> set[str]:
    plan = Plan(load_config(read_config([file], [])))
    return {
        plan.feature_key(dataset, part)
        for dataset in plan.config["dataset"]
        for name in _representations(plan.config)
        for part in parts(name)
    }


def _representations(config: dict) -> set[str]:
    ranked = config["importance"]["representation"]
    return {*config["representations"], *config["scaling"]["representations"], *([ranked] if ranked else [])}
