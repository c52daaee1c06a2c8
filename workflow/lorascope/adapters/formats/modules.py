"""From a file's tensors to its modules: parts grouped and checked, alpha found, the scale worked out."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lorascope.adapters.formats.algebra import PartsError, Sizes, sizes_of
from lorascope.adapters.formats.header import Header
from lorascope.adapters.formats.keys import DIFFUSERS, KOHYA, LOHA, LOKR, PEFT, parse_key, refusal
from lorascope.adapters.formats.paths import component_of, layer_of
from lorascope.adapters.formats.scale import CONFIG, DEFAULT, HEADER, TENSOR, PeftConfig
from lorascope.adapters.formats.text import plain
from lorascope.errors import LorascopeError

MIN_EXPANDED_BYTES = 64 << 20
"""A LoHa or LoKr layer may take this much, or as much as its file: a hostile file could ask for anything."""


@dataclass(frozen=True)
class Module:
    """One adapted module before any weight is read.

    Attributes:
        layer: canonical path.
        stem: the module's name in the file.
        family: which algebra makes ΔW of its parts.
        keys: role of a part → key in the file.
        sizes: what the parts multiply out to.
        alpha, alpha_source: see :class:`Factors`.
        scale: factor of ΔW.
    """

    layer: str
    stem: str
    family: str
    keys: Mapping[str, str] = field(repr=False)
    sizes: Sizes
    alpha: float
    alpha_source: str
    scale: float


def group_parts(header: Header) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return stem → role → key, and stem → family.

    Raises:
        LorascopeError: a tensor of a family that is not supported, or nothing but alphas.
    """
    grouped: dict[str, dict[str, str]] = defaultdict(dict)
    families: dict[str, str] = {}
    for key in header.tensors:
        part = parse_key(key)
        if part is None:
            raise LorascopeError(f"{header.path}: {refusal(key)}")
        if part.role in grouped[part.stem]:
            raise LorascopeError(f"{header.path}: two tensors for {part.role} of {part.stem[:120]}")
        grouped[part.stem][part.role] = key
        if part.family and families.setdefault(part.stem, part.family) != part.family:
            raise LorascopeError(
                f"{header.path}: {part.stem[:120]} is {families[part.stem]} and {part.family} at once"
            )
    if not grouped:
        raise LorascopeError(f"{header.path}: an empty file: no tensor in it")
    if (alone := next((stem for stem in grouped if stem not in families), None)) is not None:
        raise LorascopeError(f"{header.path}: {alone[:120]} has an alpha but no weights")
    return dict(grouped), {stem: families[stem] for stem in grouped}


def module_of(
    header: Header,
    stem: str,
    family: str,
    keys: dict[str, str],
    config: PeftConfig | None,
    configs: Mapping[str, PeftConfig],
) -> Module:
    """Check the parts of one module and work out its scale.

    Args:
        family: as :func:`group_parts` found it.
        keys: role → key.
        config: PEFT's configuration beside the file.
        configs: those in the header, by model of the pipeline.

    Raises:
        LorascopeError: parts that do not fit together, or to the configuration.
    """
    layer = layer_of(stem)
    try:
        sizes = sizes_of(family, {role: header.tensors[key].shape for role, key in keys.items()})
    except PartsError as error:
        raise LorascopeError(f"{header.path}: layer {layer[:200]}: {error}") from None
    if family in (LOHA, LOKR) or "lora_mid" in keys:
        _check_expansion(header, layer, family, sizes)
    alpha, source, scale = _alpha(header, stem, layer, keys, sizes, config, configs)
    return Module(layer, stem, family, keys, sizes, alpha, source, scale)


def _check_expansion(header: Header, layer: str, family: str, sizes: Sizes) -> None:
    needed = 4 * max(sizes.rank, sizes.dim or 0) * (sizes.d_out + sizes.d_in)
    allowed = max(header.size, MIN_EXPANDED_BYTES)
    if needed > allowed:
        raise LorascopeError(
            f"{header.path}: layer {layer[:200]}: as {family} it would take {needed >> 20} MiB, more than "
            f"the {allowed >> 20} MiB that a file of this size may"
        )


def _alpha(
    header: Header,
    stem: str,
    layer: str,
    keys: Mapping[str, str],
    sizes: Sizes,
    config: PeftConfig | None,
    configs: Mapping[str, PeftConfig],
) -> tuple[float, str, float]:
    """Return (alpha, where it came from, scale) by the rule of the module's family."""
    if sizes.dim is None and config is None:
        # Two whole factors: LyCORIS scales by 1, PEFT as it does all others.
        return 1.0, DEFAULT, 1.0
    if sizes.dim and "alpha" in keys and (alpha := _alpha_tensor(header, keys["alpha"])):
        return alpha, TENSOR, alpha / sizes.dim
    in_header = configs.get(component_of(layer), configs.get(""))
    if "alpha" in keys or (config or in_header) is None:
        # kohya-ss and LyCORIS: no alpha, or 0, means the rank.
        return float(sizes.dim), DEFAULT, 1.0
    chosen, source = (config, CONFIG) if config else (in_header, HEADER)
    module = stem.removeprefix("base_model.model.") if config else layer
    rank = chosen.rank_of(module)
    if sizes.dim not in (rank, None):
        raise LorascopeError(
            f"{header.path}: layer {layer[:200]}: rank {sizes.dim}, but {source} says {rank}"
        )
    alpha = float(chosen.alpha_of(module))
    return alpha, source, chosen.scale(alpha, rank)


def _alpha_tensor(header: Header, key: str) -> float:
    if (count := int(np.prod(header.tensors[key].shape))) != 1:
        raise LorascopeError(f"{header.path}: {key[:200]}: {count} values; alpha is one number")
    alpha = float(header.read(key).reshape(()))
    if not np.isfinite(alpha):
        raise LorascopeError(f"{header.path}: {key[:200]}: alpha is {alpha}")
    return alpha


def notes_on(
    modules: Mapping[str, Module], metadata: Mapping[str, str], configs: list[PeftConfig]
) -> tuple[str, ...]:
    """Return what a reader of ΔW should know about where its scale came from, one line each."""
    notes = [note for config in configs for note in config.notes]
    sources = Counter(module.alpha_source for module in modules.values() if module.sizes.dim)
    unknown = sources[DEFAULT]
    if unknown and any(module.family in (PEFT, KOHYA, LOHA, LOKR) for module in modules.values()):
        stated = plain(metadata.get("ss_network_alpha", ""), 20)
        aside = f"; ss_network_alpha in the header says {stated}" if stated else ""
        notes.append(f"no alpha for {unknown} of {len(modules)} layers: taken as the rank{aside}")
    elif len(sources) > 1 and DIFFUSERS not in {module.family for module in modules.values()}:
        notes.append("alpha comes from several places: " + ", ".join(sources))
    return tuple(dict.fromkeys(notes))
