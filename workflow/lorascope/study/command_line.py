"""Settings of the command line: text, which is read by the types that the schema has for its place.

Snakemake reads ``KEY=VALUE`` as a number, true, false or a map, and leaves everything inside a map, and null,
as text. Here that text is read as YAML wherever the schema takes something else than text; what is meant as
text though it reads otherwise, such as a column called null, is quoted once more: ``"'null'"``.
"""

import math
from collections.abc import Sequence

import yaml

from lorascope.errors import LorascopeError

_KINDS = {
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}


def read_overrides(overrides: Sequence[str]) -> dict:
    """Return ``KEY=VALUE`` as snakemake reads it.

    Raises:
        LorascopeError: an override is not ``KEY=VALUE``.
    """
    # Slow to import, and needed only here.
    from snakemake.cli import parse_config

    try:
        return parse_config(overrides)
    except ValueError as error:
        raise LorascopeError(f"--config: write KEY=VALUE ({error})") from None


def typed(config: dict, given: dict, schema: dict) -> dict:
    """Return ``config`` with the text that the command line gave read as what the schema wants.

    Args:
        config: all settings.
        given: those of the command line; what ``config`` has at the same place and is equal is theirs.
        schema: of the settings.
    """
    return _typed(config, given, schema, schema["$defs"])


def _typed(value: object, given: object, part: dict, definitions: dict) -> object:
    part = _resolved(part, value, definitions)
    if isinstance(value, dict) and isinstance(given, dict):
        return {
            name: _typed(inner, given[name], _part_of(part, name), definitions) if name in given else inner
            for name, inner in value.items()
        }
    if isinstance(value, list) and value == given:
        return [_typed(inner, inner, part.get("items", {}), definitions) for inner in value]
    return _read(value, _types(part)) if isinstance(value, str) and value == given else value


def _resolved(part: dict, value: object, definitions: dict) -> dict:
    if "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    source = value.get("source") if isinstance(value, dict) else None
    # An entry of `datasets` or of `sparse` has the keys of its source.
    if "source" in part.get("required", ()) and isinstance(source, str):
        return definitions.get(source, part)
    return part


def _part_of(part: dict, name: str) -> dict:
    others = part.get("additionalProperties")
    return part.get("properties", {}).get(name) or (others if isinstance(others, dict) else {})


def _types(part: dict) -> set[str]:
    types = part.get("type", ())
    return {types} if isinstance(types, str) else set(types)


def _read(text: str, types: set[str]) -> object:
    """Return what a text means where values of some types are taken."""
    if not types - {"string"}:
        return text
    read = _yaml(text)
    if isinstance(read, str):
        is_quoted = read != text and not isinstance(_yaml(read), str)
        return read if is_quoted else _number(text, types)
    return read if any(_is_of(read, kind) for kind in types) else text


def _yaml(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _number(text: str, types: set[str]) -> object:
    """Return 1e-3, a text in YAML, as the number that it is where one is wanted."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if "number" in types and math.isfinite(number) else text


def _is_of(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return kind in _KINDS and isinstance(value, _KINDS[kind])
