"""Settings of a study: defaults filled in, and refused with one line where they are wrong."""

import copy
import difflib
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import best_match

from lorascope.data.split import SplitSettings
from lorascope.errors import LorascopeError
from lorascope.features.registry import REPRESENTATIONS
from lorascope.gates.registry import parse_gate
from lorascope.probes.registry import PROBES, check_pairs, reads
from lorascope.study.command_line import read_overrides, typed
from lorascope.study.named import STUDIES

# The rules of the workflow; a data set's name becomes a target beside them.
RULES = (
    "zoo_base",
    "zoo_train",
    "zoo_picture",
    "download",
    "prepare",
    "label",
    "passport",
    "fit",
    "extract",
    "train",
)
RULES += ("control", "rank_layers", "adapter_map", "scale", "scaling_figure", "stamp", "aggregate", "page")
RULES += ("keep_probes", "unusable", "sparse_images", "sparse_train", "sparse_compare", "sparse_page")
# What lies beside the data sets in the folders of results and logs; the other names there are targets.
FOLDERS = {STUDIES}
TARGETS = {
    *REPRESENTATIONS,
    "report",
    "summary",
    "features",
    "importance",
    "scaling",
    "sparse",
    *RULES,
}
SCHEMA = Path(__file__).with_name("config.schema.yaml")
# The default study lies beside the Snakefile, two folders above the package.
DEFAULT_STUDY = Path(__file__).parents[3] / "config.yaml"


@cache
def schema() -> dict:
    """Return the schema: a description and a default for every key."""
    # As safe as yaml.safe_load and ten times faster: every plan waits for it.
    return yaml.load(SCHEMA.read_text(), yaml.CSafeLoader)


def read_config(files: Sequence[str], overrides: Sequence[str]) -> dict:
    """Return the settings as ``snakemake`` would see them: the default study, then files, then ``KEY=VALUE``.

    Raises:
        LorascopeError: a file is missing or no YAML map, or an override is not ``KEY=VALUE``.
    """
    from snakemake.utils import update_config

    config: dict = {}
    for file in [DEFAULT_STUDY, *files]:
        update_config(config, _read_yaml(file))
    if not overrides:
        return config
    given = read_overrides(overrides)
    update_config(config, given)
    return typed(config, given, schema())


def _read_yaml(file: str | Path) -> dict:
    try:
        content = yaml.safe_load(Path(file).read_text())
    except FileNotFoundError:
        raise LorascopeError(f"{file}: no such file") from None
    except OSError as error:
        raise LorascopeError(f"{file}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LorascopeError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise LorascopeError(f"{file}: holds no settings")
    return content


def load_config(config: dict, given: dict | None = None) -> dict:
    """Return ``config`` with every default filled in.

    Args:
        config: what YAML or ``--config`` gave.
        given: the settings among these that are text of the command line still, if there are any.

    Raises:
        LorascopeError: an unknown key, a wrong type, a name that is defined nowhere, or shares of the split
            that do not add up to 1.
    """
    filled = _filled(typed(config, given, schema()) if given else config, schema(), "config")
    filled["datasets"] = {
        name: load_dataset(settings, f"config: datasets.{name}")
        for name, settings in filled["datasets"].items()
    }
    if isinstance(filled["dataset"], str):
        filled["dataset"] = [filled["dataset"]]
    _check_names(filled)
    for gate in filled["sparse"]["gates"]:
        parse_gate(gate, filled["sparse"]["target_activation_rate"])
    parse_gate(filled["mlp_gated"]["gate"])
    SplitSettings(**filled["split"])
    return _one_spelling(filled)


def _one_spelling(value: object) -> object:
    """Write whole numbers without a point, and -0 as 0: equal settings must have one key."""
    if isinstance(value, dict):
        return {name: _one_spelling(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_one_spelling(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def load_dataset(settings: object, where: str) -> dict:
    """Return one entry of ``datasets`` with every default of its source filled in.

    Args:
        settings: what YAML or JSON gave.
        where: names the entry in messages.

    Raises:
        LorascopeError: no known source, an unknown key, or a wrong type.
    """
    _check(settings, schema()["properties"]["datasets"]["additionalProperties"], where)
    return _filled(settings, schema()["$defs"][settings["source"]], where)


def load_section(name: str, settings: object) -> dict:
    """Return one section of the settings, such as ``split`` or ``mlp``, with every default filled in.

    Raises:
        LorascopeError: an unknown key or a wrong type.
    """
    return _filled(settings, schema()["properties"][name], name)


def _filled(value: object, part: dict, where: str) -> dict:
    filled = copy.deepcopy(value)
    _check(filled, part, where)
    _fill(filled, part)
    return filled


def _is_integer(_, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_, value: object) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


# JSON Schema takes 5.0 for an integer; Python's range does not. NaN is below no minimum.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def _check(value: object, part: dict, where: str) -> None:
    with_definitions = {**part, "$defs": schema()["$defs"]}
    error = best_match(_Validator(with_definitions).iter_errors(value))
    if error is not None:
        raise LorascopeError(_message(error, where))


def _message(error, where: str) -> str:
    path = ".".join(str(step) for step in error.absolute_path)
    place = f"{where}: {path}" if path else where
    if error.validator == "additionalProperties":
        return _unknown_key(error, place)
    if error.validator == "type":
        return f"{place}: {error.instance!r} is {_kind(error.instance)}, not {_expected(error)}{_hint(error)}"
    if error.validator == "enum":
        return f"{place}: {error.instance!r} is not one of {', '.join(map(str, error.validator_value))}"
    return f"{place}: {error.message}"


def _unknown_key(error, place: str) -> str:
    known = list(error.schema["properties"])
    unknown = sorted(set(error.instance) - set(known))[0]
    close = difflib.get_close_matches(unknown, known, 1)
    return f"{place}: unknown key '{unknown}'; " + (
        f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
    )


def _kind(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "not finite"
    kinds = {
        str: "text",
        bool: "true/false",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a map",
    }
    return kinds.get(type(value), "empty" if value is None else type(value).__name__)


def _expected(error) -> str:
    names = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "array": "a list",
        "object": "a map",
    }
    types = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    return " or ".join(names.get(name, name) for name in types)


def _hint(error) -> str:
    if isinstance(error.instance, str) and error.validator_value in ("number", "integer"):
        try:
            number = float(error.instance)
        except ValueError:
            return ""
        if number.is_integer() or (error.validator_value == "number" and math.isfinite(number)):
            return f"; it was read as text: write {number:.10g} without quotes, in a config file"
    return ""


def _fill(value: dict, part: dict) -> None:
    """Fill defaults in place, also inside nested maps."""
    for name, entry in part["properties"].items():
        if name not in value and "default" in entry:
            value[name] = copy.deepcopy(entry["default"])
        if name in value and isinstance(value[name], dict) and "properties" in entry:
            _fill(value[name], entry)


def _check_names(config: dict) -> None:
    if taken := sorted(set(config["datasets"]) & TARGETS):
        raise LorascopeError(f"config: datasets: '{taken[0]}' is the name of a target; choose another")
    if taken := sorted(set(config["datasets"]) & FOLDERS):
        raise LorascopeError(f"config: datasets: '{taken[0]}' is a folder of results; choose another")
    _check_defined(config["dataset"], config["datasets"], "dataset")
    _check_defined(config["layer_sets"], config["layer_patterns"], "layer_sets")
    _check_defined(config["representations"], REPRESENTATIONS, "representations")
    _check_defined(config["probes"], PROBES, "probes")
    _check_defined(config["scaling"]["probes"], PROBES, "scaling.probes")
    check_pairs(config["representations"], config["probes"])
    _check_scaling(config["scaling"], config["representations"])
    if config["w2t"]["width"] % config["w2t"]["heads"]:
        raise LorascopeError("config: w2t: width is no multiple of heads; change one of them")
    if (ranked := config["importance"]["representation"]) is not None:
        _check_defined([ranked], REPRESENTATIONS, "importance.representation")


def _check_scaling(scaling: dict, of_study: list[str]) -> None:
    _check_defined(scaling["representations"], REPRESENTATIONS, "scaling.representations")
    wanted = scaling["representations"] or of_study
    if scaling["fractions"] and not any(reads(p, name) for p in scaling["probes"] for name in wanted):
        raise LorascopeError(
            f"config: scaling.probes: none of {', '.join(scaling['probes'])} reads a representation; add one"
        )


def _check_defined(wanted, defined, place: str) -> None:
    for name in wanted:
        if name not in defined:
            close = difflib.get_close_matches(name, list(defined), 1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(defined) or 'none'}"
            raise LorascopeError(f"config: {place}: unknown name '{name}'; {hint}")
