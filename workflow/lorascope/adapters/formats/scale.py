"""Where a family keeps alpha, and by which factor ΔW = scale · up · down is scaled."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from pathlib import Path

from lorascope.adapters.formats.text import plain
from lorascope.errors import LorascopeError

TENSOR, CONFIG, HEADER, DEFAULT = "tensor", "adapter_config.json", "header", "default: rank"
UNUSED = "none: scale 1"
"""Sources of alpha. ``DEFAULT``: the file has none and alpha is taken to be the rank."""

CONFIG_NAME = "adapter_config.json"
HEADER_ENTRY = "lora_adapter_metadata"
MAX_CONFIG_BYTES = 4 << 20
MAX_PATTERNS, MAX_EXPRESSIONS, MAX_EXPRESSION = 2048, 16, 300

_LARGEST = 1e9
_COMPONENTS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
_PEFT_TYPES = ("LORA", "LOHA", "LOKR")
_NOT_BASE_DELTA = ("pissa", "olora", "corda", "loftq", "lora_ga")
_NOT_READ = {
    "use_qalora": "its A works on pooled inputs, so that B·A is no ΔW",
    "target_parameters": "one pair of factors there holds the ΔW of every expert",
}
_WHY = {
    "OFT": "it multiplies the base model's weights",
    "BOFT": "it multiplies the base model's weights",
    "IA3": "it multiplies the base model's weights",
    "VERA": "its factors are shared random matrices",
}
_NAME = re.compile(r"[\w.]+")
# A pattern may be an expression from a stranger, and Python's can take for ever on a short name: no group is
# repeated, and what few repeats and alternatives cost at worst is added up (digits up to a dot are free).
_HARMLESS_REPEAT = re.compile(r"(?:\\d|\[0-9\])\+\\\.")
_REPEAT = re.compile(r"[*+?{]")
_REPEATED_GROUP = re.compile(r"\)[*+{?]|\\[1-9]|\(\?(?!:)")
_MAX_REPEATS, _MAX_ALTERNATIVES, _MAX_STEPS = 3, 1000, 1_000_000_000


@dataclass(frozen=True)
class Patterns:
    """Module name or regular expression → value, matched as PEFT does: the first that fits the name's end.

    Attributes:
        values: all of them, in the configuration's order.
        expressions: those that are more than a name.
        where: named in messages.
        spent: steps that matching may have taken so far, at worst.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    expressions: tuple[str, ...] = ()
    where: str = ""
    spent: list[int] = field(default_factory=lambda: [0], repr=False, compare=False)

    def get(self, module: str, default: float) -> float:
        """Return the value for a module."""
        # Plain names are looked up: a thousand of them for a thousand modules must not take a second.
        ends = [module, *(module[dot.end() :] for dot in re.finditer(r"\.", module))]
        fitting = [end for end in ends if end in self.values and end not in self.expressions]
        self._spend(len(module))
        fitting += [pattern for pattern in self.expressions if _expression(pattern).match(module)]
        if len(fitting) > 1:
            order = list(self.values)
            fitting.sort(key=order.index)
        return self.values[fitting[0]] if fitting else default

    def _spend(self, length: int) -> None:
        self.spent[0] += sum(_steps(pattern, length) for pattern in self.expressions)
        if self.spent[0] > _MAX_STEPS:
            raise LorascopeError(
                f"{self.where}: the expression '{plain(self.expressions[0], 60)}' is too complex to be "
                "trusted with so many names"
            )


@lru_cache(maxsize=2 * MAX_EXPRESSIONS)
def _expression(pattern: str) -> re.Pattern:
    return re.compile(rf"(.*\.)?({pattern})$")


@dataclass(frozen=True)
class PeftConfig:
    """The entries of PEFT's configuration that ΔW depends on.

    Attributes:
        r, alpha: of modules that no pattern names.
        rank_pattern, alpha_pattern: for modules that have their own.
        rslora: the scale is alpha / √r.
        base_model: the base model's name or path, if given.
        dora: ΔW is scaled column by column to norms of its own.
        notes: what a reader of ΔW should know.
    """

    r: int
    alpha: float
    rank_pattern: Patterns = Patterns()
    alpha_pattern: Patterns = Patterns()
    rslora: bool = False
    base_model: str | None = None
    dora: bool = False
    notes: tuple[str, ...] = ()

    def rank_of(self, module: str) -> int:
        """Return the rank that the configuration gives a module."""
        return int(self.rank_pattern.get(module, self.r))

    def alpha_of(self, module: str) -> float:
        """Return the alpha that the configuration gives a module."""
        return self.alpha_pattern.get(module, self.alpha)

    def scale(self, alpha: float, rank: int) -> float:
        """Return the factor of ΔW."""
        return alpha / math.sqrt(rank) if self.rslora else alpha / rank


def read_config(path: Path) -> PeftConfig:
    """Read ``adapter_config.json``.

    Raises:
        LorascopeError: not JSON, an entry of the wrong kind, or a family whose ΔW is no B·A.
    """
    return peft_config(_json_of(path), str(path))


def _json_of(path: Path) -> object:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
        if len(text) > MAX_CONFIG_BYTES:
            raise LorascopeError(
                f"{path}: more than {MAX_CONFIG_BYTES} bytes; not an adapter's configuration"
            )
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise LorascopeError(f"{path}: not a readable JSON file ({plain(error)})") from None


def read_mlx_config(path: Path) -> PeftConfig | None:
    """Read the scale from the configuration that MLX writes beside its weights; None if it says none.

    Raises:
        LorascopeError: not JSON, or an entry of the wrong kind.
    """
    entries = _json_of(path)
    parameters = entries.get("lora_parameters") if isinstance(entries, dict) else None
    if not isinstance(parameters, dict) or "scale" not in parameters:
        return None
    if entries.get("fine_tune_type", "lora") == "dora":
        parameters = {**parameters, "dora": True}
    rank = _number(parameters.get("rank", 8), "rank", str(path), whole=True)
    scale = _number(parameters["scale"], "scale", str(path))
    model = entries.get("model")
    return PeftConfig(
        r=rank,
        alpha=scale * rank,
        base_model=model if isinstance(model, str) and model else None,
        dora=bool(parameters.get("dora", False)),
    )


def header_configs(metadata: Mapping[str, str], where: str) -> dict[str, PeftConfig]:
    """Return the configurations that diffusers stores in a file's header: model of the pipeline → config.

    The key "" stands for a configuration without a prefix: it covers the whole file.
    """
    if HEADER_ENTRY not in metadata:
        return {}
    where = f"{where}: {HEADER_ENTRY}"
    try:
        entries = json.loads(metadata[HEADER_ENTRY])
    except (ValueError, RecursionError) as error:
        raise LorascopeError(f"{where}: not JSON ({plain(error)})") from None
    if not isinstance(entries, dict):
        raise LorascopeError(f"{where}: not a JSON object")
    split: dict[str, dict] = {}
    for name, value in entries.items():
        component, dot, entry = name.partition(".")
        known = dot and component in _COMPONENTS
        split.setdefault(component if known else "", {})[entry if known else name] = value
    return {component: peft_config(part, where) for component, part in split.items() if "r" in part}


_PLAIN = re.compile(r"(?:(\w+)\.)?(?:lora_alpha|network_alpha|ss_network_alpha)$")


def plain_alphas(metadata: Mapping[str, str]) -> dict[str, float]:
    """Return model of the pipeline ("" for all) → the alpha that a plain entry of a file's header names."""
    found = {}
    for name, text in metadata.items():
        match = _PLAIN.match(name)
        if match and (match[1] is None or match[1] in _COMPONENTS) and (alpha := _positive(text)):
            found.setdefault(match[1] or "", alpha)
    return found


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < _LARGEST else None


def peft_config(entries: object, where: str) -> PeftConfig:
    """Check PEFT's entries and keep those that ΔW depends on.

    Raises:
        LorascopeError: an entry of the wrong kind, or a family whose ΔW is no B·A.
    """
    if not isinstance(entries, dict):
        raise LorascopeError(f"{where}: not a JSON object")
    kind = entries.get("peft_type", "LORA")
    if kind not in _PEFT_TYPES:
        raise LorascopeError(
            f"{where}: PEFT's {plain(kind, 40)} is not supported: {_WHY.get(str(kind), 'its ΔW is no B·A')}"
            f"{_facts(entries)}"
        )
    for name, reason in _NOT_READ.items():
        if entries.get(name):
            raise LorascopeError(f"{where}: {name} is not supported: {reason}")
    r = _number(entries.get("r", 8), "r", where, whole=True)
    base_model = entries.get("base_model_name_or_path")
    init = str(entries.get("init_lora_weights", True)).lower()
    notes = (
        (f"initialised by {plain(init, 20)}: B·A is not the change to the original base",)
        if init.startswith(_NOT_BASE_DELTA)
        else ()
    )
    return PeftConfig(
        r=r,
        alpha=_number(entries.get("lora_alpha", entries.get("alpha", r)), "lora_alpha", where),
        rank_pattern=_pattern(entries, "rank_pattern", where, whole=True),
        alpha_pattern=_pattern(entries, "alpha_pattern", where),
        rslora=bool(entries.get("use_rslora", False)),
        dora=bool(entries.get("use_dora", False)),
        base_model=base_model if isinstance(base_model, str) and base_model else None,
        notes=notes,
    )


def _facts(entries: dict) -> str:
    """Base and rank of a configuration whose family is not read."""
    named = (("base", "base_model_name_or_path"), ("rank", "r"))
    found = [f"{what} {plain(entries[name], 60)}" for what, name in named if entries.get(name)]
    return f" ({', '.join(found)})" if found else ""


def _number(value: object, name: str, where: str, whole: bool = False):
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise LorascopeError(f"{where}: {name} is '{plain(value, 40)}'; expected a number")
    if not abs(value) < _LARGEST or (whole and value < 1):
        raise LorascopeError(f"{where}: {name} is {plain(value, 40)}; expected a number within reason")
    return value


def _pattern(entries: dict, name: str, where: str, whole: bool = False) -> Patterns:
    patterns = entries.get(name) or {}
    if not isinstance(patterns, dict):
        raise LorascopeError(f"{where}: {name} is not a JSON object")
    expressions = [pattern for pattern in patterns if not _NAME.fullmatch(pattern)]
    if len(patterns) > MAX_PATTERNS or len(expressions) > MAX_EXPRESSIONS:
        raise LorascopeError(
            f"{where}: {name} has {len(patterns)} entries, {len(expressions)} of them expressions; "
            f"at most {MAX_PATTERNS} and {MAX_EXPRESSIONS} are read"
        )
    for pattern, value in patterns.items():
        _number(value, f"{name} of '{plain(pattern, 60)}'", where, whole)
    for expression in expressions:
        _check_expression(expression, f"{where}: {name}")
    return Patterns(patterns, tuple(expressions), f"{where}: {name}")


def _repeats(pattern: str) -> int:
    return len(_REPEAT.findall(_HARMLESS_REPEAT.sub("", pattern).replace("(?:", "(")))


def _alternatives(pattern: str) -> int:
    """In how many ways the alternatives of all groups can be combined, at most."""
    return prod(part.count("|") + 1 for part in re.split(r"[()]", pattern))


def _steps(pattern: str, length: int) -> int:
    """How long matching a name can take: every repeat, and PEFT's own before them, may end anywhere."""
    return _alternatives(pattern) * length ** (_repeats(pattern) + 1)


def _check_expression(pattern: str, where: str) -> None:
    hostile = len(pattern) > MAX_EXPRESSION or _REPEATED_GROUP.search(pattern)
    if hostile or _repeats(pattern) > _MAX_REPEATS or _alternatives(pattern) > _MAX_ALTERNATIVES:
        raise LorascopeError(f"{where}: the expression '{plain(pattern, 60)}' is too complex to be trusted")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise LorascopeError(f"{where}: '{plain(pattern, 60)}' is no expression ({plain(error)})") from None
