"""From a file's tensors to its modules: parts grouped and checked, alpha found, the scale worked out."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from lorascope.adapters.atlas.identify import Named
from lorascope.adapters.atlas.reader import Layer
from lorascope.adapters.formats.algebra import PartsError, Sizes, sizes_of
from lorascope.adapters.formats.header import Header
from lorascope.adapters.formats.keys import (
    DIFFUSERS,
    DIFFUSERS_OLD,
    KOHYA,
    LOHA,
    LOKR,
    MAGNITUDE,
    MLX,
    PEFT,
    XLABS,
    Beside,
    beside,
    parse_key,
    refusal,
    refused_layers,
)
from lorascope.adapters.formats.places import Rows, rows_of
from lorascope.adapters.formats.scale import CONFIG, DEFAULT, HEADER, TENSOR, UNUSED, PeftConfig, plain_alphas
from lorascope.adapters.formats.text import plain
from lorascope.errors import LorascopeError
from lorascope.wording import plural

T = TypeVar("T")
MIN_EXPANDED_BYTES = 64 << 20
"""A LoHa or LoKr layer may take this much, or as much as its file: a hostile file could ask for anything."""

_TUCKER = {"lora_mid", "hada_t1", "hada_t2", "lokr_t2"}
_DORA = "DoRA: its ΔW depends on the base model's weights"
_ARTICLES = {"alpha": "an alpha", MAGNITUDE: "a magnitude"}


@dataclass(frozen=True)
class Configs:
    """PEFT's configurations of a file.

    Attributes:
        beside: ``adapter_config.json``, if there is one.
        by_component: those in the header, by model of the pipeline; "" covers the whole file.
        alphas: alpha alone, from plain entries of the header, likewise.
    """

    beside: PeftConfig | None
    by_component: Mapping[str, PeftConfig]
    alphas: Mapping[str, float] = field(default_factory=dict)

    def in_header(self, named: Named) -> PeftConfig | None:
        """Return the header's configuration for a module."""
        return _of_component(self.by_component, named)

    def alpha(self, named: Named) -> float | None:
        """Return the alpha that a plain entry of the header names for a module."""
        return _of_component(self.alphas, named)

    def all(self) -> list[PeftConfig]:
        """Return all of them."""
        return [*([self.beside] if self.beside else []), *self.by_component.values()]


def _of_component(values: Mapping[str, T], named: Named) -> T | None:
    names = (named.spelled.component, named.component, "")
    return next((values[name] for name in names if name in values), None)


@dataclass(frozen=True)
class Module:
    """One adapted module before any weight is read.

    Attributes:
        layer: canonical path.
        stem: the module's name in the file.
        component: model of the pipeline, ``unet``, ``transformer``, ``text_encoder``, …; ``model`` elsewhere.
        family: which algebra makes ΔW of its parts.
        keys: role of a part → key in the file.
        sizes: what the parts multiply out to.
        alpha, alpha_source: see :class:`Factors`.
        scale: factor of ΔW.
        rows: runs of rows of B that are this layer's, where the file's module holds several layers or its
            halves in another order; None for all of them.
        known: what the atlas says of the layer; None where it does not know the name.
        model: of the atlas, whose names the file's are.
        reason: why ΔW cannot be made of the file alone; None if it can. ‖B·A‖ can.
    """

    layer: str
    stem: str
    component: str
    family: str
    keys: Mapping[str, str] = field(repr=False)
    sizes: Sizes
    alpha: float
    alpha_source: str
    scale: float
    rows: Rows | None = None
    known: Layer | None = None
    model: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Grouped:
    """The tensors of a file by what they are.

    Attributes:
        keys: module → role → key.
        families: module → family.
        beside: what the file trains beside its ΔW.
    """

    keys: Mapping[str, Mapping[str, str]]
    families: Mapping[str, str]
    beside: tuple[Beside, ...]


def group_parts(header: Header, strict: bool = False) -> Grouped:
    """Sort the tensors of a file.

    Args:
        strict: refuse a file that holds anything beside its LoRA.

    Raises:
        LorascopeError: a tensor of a family that is not supported, or no ΔW at all.
    """
    grouped: dict[str, dict[str, str]] = defaultdict(dict)
    families: dict[str, str] = {}
    others: list[str] = []
    for key in header.tensors:
        part = parse_key(key)
        if part is None:
            others.append(key)
            continue
        if part.role in grouped[part.stem]:
            raise LorascopeError(f"{header.path}: two tensors for {part.role} of {part.stem[:120]}")
        grouped[part.stem][part.role] = key
        if part.family and families.setdefault(part.stem, part.family) != part.family:
            raise LorascopeError(
                f"{header.path}: {part.stem[:120]} is {families[part.stem]} and {part.family} at once"
            )
    if not header.tensors:
        raise LorascopeError(f"{header.path}: an empty file: no tensor in it")
    others += _without_weights(header, grouped, families, others)
    for key in others:
        if strict or not families or beside(key) is None:
            layers = refused_layers(header.tensors)
            raise LorascopeError(
                f"{header.path}: {refusal(key)}" + (f" ({plural(layers, 'layer')})" if layers else "")
            )
    return Grouped(
        {stem: grouped[stem] for stem in grouped if stem in families},
        {stem: families[stem] for stem in grouped if stem in families},
        tuple(_beside(header, key) for key in others),
    )


def _without_weights(
    header: Header, grouped: Mapping[str, Mapping[str, str]], families: Mapping[str, str], others: list[str]
) -> list[str]:
    """Alphas of modules that have no factors but a whole difference; any other stray alpha is an error."""
    whole = {key.rpartition(".")[0] for key in others}
    found = []
    for stem, keys in grouped.items():
        if stem in families:
            continue
        if stem not in whole:
            raise LorascopeError(
                f"{header.path}: {stem[:120]} has {' and '.join(map(_ARTICLES.get, keys))} but no weights"
            )
        found += keys.values()
    return found


def _beside(header: Header, key: str) -> Beside:
    info = header.tensors[key]
    return Beside(key, beside(key), info.shape, info.bytes)


def sizes_of_modules(
    header: Header, grouped: Mapping[str, Mapping[str, str]], families: Mapping[str, str]
) -> dict[str, Sizes]:
    """Check the parts of every module and return what they make up, by the file's names.

    Raises:
        LorascopeError: parts that do not fit together, or would take too much memory.
    """
    found = {}
    for stem, keys in grouped.items():
        try:
            found[stem] = sizes_of(families[stem], shapes_of(header, families[stem], keys))
        except PartsError as error:
            raise LorascopeError(f"{header.path}: layer {stem[:200]}: {error}") from None
        if _TUCKER.intersection(keys):
            # Even a norm multiplies such a core out.
            check_expansion(header, stem, families[stem], found[stem])
    return found


def shapes_of(header: Header, family: str, keys: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Return role → shape of the parts that make up ΔW, A as [rank, d_in] and B as [d_out, rank]."""
    shapes = {role: header.tensors[key].shape for role, key in keys.items() if role != MAGNITUDE}
    if family == MLX:
        # MLX stores both transposed: x · a · b.
        return {role: shape[::-1] for role, shape in shapes.items()}
    return shapes


def modules_of(
    header: Header,
    stem: str,
    family: str,
    keys: Mapping[str, str],
    sizes: Sizes,
    named: Named,
    configs: Configs,
) -> list[Module]:
    """Return the canonical layers that one module of the file holds, with its scale.

    Args:
        family: as :func:`group_parts` found it.
        keys: role → key.
        sizes: as :func:`sizes_of_modules` found them.
        named: what the atlas says of its name.
        configs: PEFT's configurations, beside the file and in it.

    Raises:
        LorascopeError: parts that do not fit to the configuration.
    """
    alpha, source, scale = _alpha(header, stem, family, named, keys, sizes, configs)
    config = configs.beside or configs.in_header(named)
    reason = _DORA if MAGNITUDE in keys or (config and config.dora) else None
    rows = rows_of(named.place, sizes.d_out)
    if rows is None:
        # Rows that cannot be shared out: the module stays whole, under its own name.
        layers, known, rows = (named.spelled.name,), [None], [None]
    else:
        layers, known = named.layers, named.place.layers() if named.place else [None]
    found = []
    for layer, about, own in zip(layers, known, rows, strict=True):
        count = sizes.d_out if own is None else sum(stop - start for start, stop in own)
        part = replace(sizes, d_out=count, rank=min(sizes.rank, count))
        found.append(
            Module(
                layer,
                stem,
                named.component,
                family,
                keys,
                part,
                alpha,
                source,
                scale,
                own,
                about,
                named.model,
                reason,
            )
        )
    return found


def check_expansion(header: Header, stem: str, family: str, sizes: Sizes) -> None:
    """Refuse a module whose factors would take more memory than a file of its size may.

    Raises:
        LorascopeError: as said.
    """
    needed = 4 * max(sizes.rank, sizes.dim or 0) * (sizes.d_out + sizes.d_in)
    allowed = max(header.size, MIN_EXPANDED_BYTES)
    if needed > allowed:
        raise LorascopeError(
            f"{header.path}: layer {stem[:200]}: as {family} it would take {needed >> 20} MiB, more than "
            f"the {allowed >> 20} MiB that a file of this size may"
        )


def _alpha(
    header: Header,
    stem: str,
    family: str,
    named: Named,
    keys: Mapping[str, str],
    sizes: Sizes,
    configs: Configs,
) -> tuple[float, str, float]:
    """Return (alpha, where it came from, scale) by the rule of the module's family."""
    config = configs.beside
    if sizes.dim is None and config is None:
        # Two whole factors: LyCORIS scales by 1, PEFT as it does all others.
        return 1.0, UNUSED, 1.0
    if sizes.dim and "alpha" in keys and (alpha := _alpha_tensor(header, keys["alpha"])):
        return alpha, TENSOR, alpha / sizes.dim
    in_header = configs.in_header(named)
    stated = configs.alpha(named) if family in (DIFFUSERS, DIFFUSERS_OLD, PEFT, XLABS) else None
    if stated and (config or in_header) is None:
        return stated, HEADER, stated / sizes.dim
    if "alpha" in keys or (config or in_header) is None:
        # kohya-ss and LyCORIS: no alpha, or 0, means the rank.
        return float(sizes.dim), DEFAULT, 1.0
    chosen, source = (config, CONFIG) if config else (in_header, HEADER)
    module = stem.removeprefix("base_model.model.") if config else named.spelled.name
    rank = chosen.rank_of(module)
    if sizes.dim not in (rank, None):
        raise LorascopeError(f"{header.path}: layer {stem[:200]}: rank {sizes.dim}, but {source} says {rank}")
    alpha = float(chosen.alpha_of(module))
    return alpha, source, chosen.scale(alpha, rank)


def _alpha_tensor(header: Header, key: str) -> float:
    if (count := int(np.prod(header.tensors[key].shape))) != 1:
        raise LorascopeError(f"{header.path}: {key[:200]}: {count} values; alpha is one number")
    alpha = float(header.read(key).reshape(()))
    if not np.isfinite(alpha):
        raise LorascopeError(f"{header.path}: {key[:200]}: alpha is {alpha}")
    return alpha


def _stated(metadata: Mapping[str, str]) -> str:
    return plain(metadata.get("ss_network_alpha", ""), 20)


def notes_on(
    modules: Mapping[str, Module], metadata: Mapping[str, str], configs: list[PeftConfig]
) -> tuple[str, ...]:
    """Return what a reader of ΔW should know about where its scale came from, one line each."""
    notes = [note for config in configs for note in config.notes]
    sources = Counter(module.alpha_source for module in modules.values() if module.sizes.dim)
    unknown = sources[DEFAULT]
    if unknown and any(module.family in (PEFT, KOHYA, LOHA, LOKR, MLX) for module in modules.values()):
        aside = f"; ss_network_alpha in the header says {stated}" if (stated := _stated(metadata)) else ""
        notes.append(f"no alpha for {unknown} of {len(modules)} layers: taken as the rank{aside}")
    elif len(sources) > 1 and DIFFUSERS not in {module.family for module in modules.values()}:
        notes.append("alpha comes from several places: " + ", ".join(sources))
    tensors = {module.alpha for module in modules.values() if module.alpha_source == TENSOR}
    if tensors and (claimed := set(plain_alphas(metadata).values())) and not claimed & tensors:
        said, own = (", ".join(f"{alpha:g}" for alpha in sorted(some)[:4]) for some in (claimed, tensors))
        notes.append(f"the header says alpha {said}; the tensors, which count, say {own}")
    if whole := sum(module.alpha_source == UNUSED and "alpha" in module.keys for module in modules.values()):
        notes.append(
            f"the alpha of {whole} of {len(modules)} layers is not used: both LoKr factors are whole"
        )
    reasons = Counter(module.reason for module in modules.values() if module.reason)
    notes += [
        f"{reason}; what is shown is ‖B·A‖ ({plural(count, 'layer')})" for reason, count in reasons.items()
    ]
    return tuple(dict.fromkeys(notes))
