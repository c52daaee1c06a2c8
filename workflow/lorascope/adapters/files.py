"""One adapter file or PEFT folder, read lazily: canonical layers with their factors, the scale folded in."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lorascope.adapters.atlas.identify import identify
from lorascope.adapters.formats.algebra import factors_of, lokr_halves, no_wider_than_needed
from lorascope.adapters.formats.base_model import base_model_of
from lorascope.adapters.formats.header import PICKLE_SUFFIXES, Header, read_header
from lorascope.adapters.formats.keys import LOHA, LOKR, MLX, Beside, parse_key
from lorascope.adapters.formats.modules import (
    Configs,
    Module,
    check_expansion,
    group_parts,
    modules_of,
    notes_on,
    shapes_of,
    sizes_of_modules,
)
from lorascope.adapters.formats.norms import frobenius_product, squared_norm
from lorascope.adapters.formats.scale import (
    CONFIG_NAME,
    PeftConfig,
    header_configs,
    plain_alphas,
    read_config,
    read_mlx_config,
)
from lorascope.errors import LorascopeError
from lorascope.wording import plural

__all__ = ["AdapterFile", "Factors", "find_adapter_files", "read_adapter", "read_header"]

PEFT_WEIGHTS = "adapter_model"
MLX_WEIGHTS = "adapters"
TRAINS_MORE = "trains more than its ΔW"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Factors:
    """One layer's ΔW = up · down.

    Attributes:
        down: A, float32 [rank, d_in]; a convolution's kernel is flattened into d_in.
        up: B, float32 [d_out, rank], with the scale folded in.
        rank: rank of the factor form; for LoHa and LoKr more than the network dimension.
        alpha: as the file's family has it; equal to the network dimension where there is none.
        alpha_source: ``tensor``, ``adapter_config.json``, ``header`` or ``default: rank``.
    """

    down: np.ndarray
    up: np.ndarray
    rank: int
    alpha: float
    alpha_source: str


Kronecker = tuple[list[tuple[np.ndarray, np.ndarray]], float]


class Layers(Mapping[str, Factors]):
    """Layer → factors, read from the file whenever a layer is asked for and not kept."""

    def __init__(self, header: Header, modules: Mapping[str, Module]) -> None:
        self._header, self._modules = header, modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, layer: object) -> bool:
        # A mapping's own way would read the layer.
        return layer in self._modules

    def __getitem__(self, layer: str) -> Factors:
        module = self._modules[layer]
        if module.reason:
            raise LorascopeError(f"{self._header.path}: layer {layer}: {module.reason}")
        if module.family in (LOHA, LOKR):
            check_expansion(self._header, module.stem, module.family, module.sizes)
        shapes = shapes_of(self._header, module.family, module.keys)
        # Overflow to infinity is a property of the file: it shows in the values, not as a warning.
        with np.errstate(all="ignore"):
            down, up = factors_of(module.family, lambda role: self._read(module, role), shapes)
            if module.rows and not _is_cut_when_read(module, "up"):
                up = np.concatenate([up[start:stop] for start, stop in module.rows])
                down, up = no_wider_than_needed(down, up)
            # In place: a file of one layer must not need its size once more.
            up *= np.float32(module.scale)
        return Factors(down, up, len(down), module.alpha, module.alpha_source)

    def kronecker(self, layer: str) -> Kronecker | None:
        """Return the factors (down, up) of both halves of a LoKr and its scale; None for any other layer."""
        module = self._modules[layer]
        if module.family != LOKR or module.rows or module.reason:
            return None
        shapes = shapes_of(self._header, module.family, module.keys)
        return lokr_halves(lambda role: self._read(module, role), shapes), module.scale

    def _read(self, module: Module, role: str) -> np.ndarray:
        rows = module.rows if _is_cut_when_read(module, role) else None
        values = self._header.read(module.keys[role], rows)
        return values.T if module.family == MLX else values

    def norm(self, layer: str) -> float:
        """Return ‖ΔW‖_F of a layer (‖B·A‖ where ΔW needs the base); NaN where a weight is not finite."""
        module = self._modules[layer]
        shapes = shapes_of(self._header, module.family, module.keys)
        with np.errstate(all="ignore"):
            if module.rows and not _is_cut_when_read(module, "up"):
                factors = self[layer]
                square = frobenius_product(factors.down, factors.up, factors.down, factors.up)
            else:
                square = squared_norm(module.family, lambda role: self._read(module, role), shapes)
                square = float(square) * module.scale**2
        # Rounding may leave a tiny negative square where the terms cancel.
        return math.sqrt(max(square, 0.0)) if math.isfinite(square) else math.nan


def _is_cut_when_read(module: Module, role: str) -> bool:
    """B of a LoRA has its rows one after the other in the file: only a layer's own are read."""
    return role == "up" and module.family not in (LOHA, LOKR, MLX)


@dataclass(frozen=True)
class AdapterFile:
    """What is known of an adapter file; weights are read when ``layers[name]`` is asked for.

    Attributes:
        path: file or PEFT folder as given.
        family: ``diffusers``, ``diffusers (old)``, ``PEFT``, ``kohya-ss``, ``LoHa``, ``LoKr``; joined by
            " + " where a file mixes them.
        base_model: the model of the atlas that has these layers in these sizes, "A or B" where several have
            and the header does not say; None if none has.
        architectures: these models, as the atlas calls them.
        metadata: free text entries of the file's header.
        layers: canonical layer path → :class:`Factors`, in the file's order.
        modules: canonical layer path → :class:`Module`: shapes and scales without reading weights.
        header: names, shapes and types of the file's tensors.
        beside: what the file trains beside its ΔW: heads, embeddings, biases, …
        notes: what a reader should know, one line each.
    """

    path: Path
    family: str
    base_model: str | None
    metadata: dict[str, str] = field(repr=False)
    layers: Layers = field(repr=False)
    modules: Mapping[str, Module] = field(repr=False)
    header: Header = field(repr=False)
    config: PeftConfig | None = None
    architectures: tuple[str, ...] = ()
    beside: tuple[Beside, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """Layer → (d_out, d_in, rank of the factor form), from the header alone."""
        sizes = {layer: module.sizes for layer, module in self.modules.items()}
        return {layer: (size.d_out, size.d_in, size.rank) for layer, size in sizes.items()}


def read_adapter(path: str | os.PathLike, strict: bool = False) -> AdapterFile:
    """Read the header of an adapter file or PEFT folder; weights are read layer by layer, on demand.

    Args:
        path: the file or folder.
        strict: refuse a file that trains more than its ΔW.

    Raises:
        LorascopeError: not a whole safetensors file, a pickle, a family that is not supported (named),
            or parts that do not make up whole layers.
    """
    path = Path(path)
    weights, config_path = _weights_and_config(path)
    header = read_header(weights)
    beside = None
    if config_path:
        # Before the tensors: of a family that is not read, it knows base and rank.
        beside = read_mlx_config(config_path) if _is_mlx(header) else read_config(config_path)
    parts = group_parts(header, strict)
    grouped, families = parts.keys, parts.families
    configs = Configs(beside, header_configs(header.metadata, str(weights)), plain_alphas(header.metadata))
    sizes = sizes_of_modules(header, grouped, families)
    identity = identify({stem: (size.d_out, size.d_in) for stem, size in sizes.items()})
    modules: dict[str, Module] = {}
    for stem, keys in grouped.items():
        named = identity.named[stem]
        for module in modules_of(header, stem, families[stem], keys, sizes[stem], named, configs):
            if module.layer in modules:
                raise LorascopeError(f"{weights}: layer {module.layer} is there twice, once as {stem}")
            modules[module.layer] = module
    base = base_model_of(identity, header.metadata, configs.all())
    return AdapterFile(
        path=path,
        family=" + ".join(dict.fromkeys(families.values())),
        base_model=base.name,
        architectures=base.models,
        metadata=dict(header.metadata),
        layers=Layers(header, modules),
        modules=modules,
        header=header,
        config=configs.beside,
        beside=parts.beside,
        notes=(*_beside_note(parts.beside), *notes_on(modules, header.metadata, configs.all()), *base.notes),
    )


def _is_mlx(header: Header) -> bool:
    return any((part := parse_key(key)) and part.family == MLX for key in header.tensors)


def _beside_note(tensors: Sequence[Beside]) -> list[str]:
    if not tensors:
        return []
    kinds = Counter(tensor.kind for tensor in tensors)
    size = sum(tensor.bytes for tensor in tensors)
    named = ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in kinds.items())
    return [f"{TRAINS_MORE}: {plural(len(tensors), 'tensor')}, {plural(size, 'byte')}: {named}"]


def _weights_and_config(path: Path) -> tuple[Path, Path | None]:
    """Return the file with the weights and PEFT's configuration, if it lies beside them."""
    if path.is_dir():
        weights = path / (PEFT_WEIGHTS + SUFFIX)
        if not weights.exists() and (path / (MLX_WEIGHTS + SUFFIX)).exists():
            weights = path / (MLX_WEIGHTS + SUFFIX)
        if not (path / CONFIG_NAME).is_file():
            raise LorascopeError(f"{path}: a folder without {CONFIG_NAME}; name a file, or a PEFT folder")
        if not weights.exists():
            pickles = [path / (PEFT_WEIGHTS + suffix) for suffix in PICKLE_SUFFIXES]
            weights = next((pickle for pickle in pickles if pickle.exists()), weights)
        return weights, path / CONFIG_NAME
    config = path.parent / CONFIG_NAME
    return path, config if path.stem in (PEFT_WEIGHTS, MLX_WEIGHTS) and config.is_file() else None


def find_adapter_files(folder: str | os.PathLike) -> list[Path]:
    """Return the adapter files and PEFT folders below ``folder``, sorted; pickles too, to be refused by name.

    Folders that are symbolic links are not entered, and links to files outside ``folder`` are left out:
    :func:`escaping_links` lists them.

    Raises:
        LorascopeError: no such folder.
    """
    return sorted(path for path, inside in _candidates(folder) if inside)


def escaping_links(folder: str | os.PathLike) -> list[Path]:
    """Return the links below ``folder`` that look like adapter files but lead out of it, sorted."""
    return sorted(path for path, inside in _candidates(folder) if not inside)


def _candidates(folder: str | os.PathLike) -> Iterator[tuple[Path, bool]]:
    folder = Path(folder)
    if not folder.is_dir():
        raise LorascopeError(f"{folder}: no such folder")
    root = folder.resolve()
    for parent, _, names in os.walk(folder):
        config_inside = Path(parent, CONFIG_NAME).resolve().is_relative_to(root)
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() not in (SUFFIX, *PICKLE_SUFFIXES):
                continue
            inside = path.resolve().is_relative_to(root)
            if CONFIG_NAME in names and path.stem == PEFT_WEIGHTS:
                inside = inside and config_inside
                path = path.parent if inside else path
            yield path, inside
