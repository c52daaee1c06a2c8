"""Names of layers as a family writes them: every one from the atlas, and read back before it is used."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from lorascope.adapters.atlas.identify import identify
from lorascope.adapters.atlas.lookup import find_name
from lorascope.adapters.atlas.reader import architecture
from lorascope.adapters.files import AdapterFile
from lorascope.adapters.formats.modules import Module
from lorascope.errors import LorascopeError

_MAIN = ("unet", "transformer")
_T5, _T5_IN_FLUX = "text_encoder_3", "text_encoder_2"
# kohya-ss's trainers of these use diffusers' own modules.
_CANONICAL_IN_KOHYA = ("framepack",)
_LDM_IN_KOHYA = ("sdxl", "sdxl-inpaint", "sdxl-refiner", "kolors")
_COMFY_ENCODERS = {
    "clip-l": "clip_l",
    "clip-g": "clip_g",
    "clip-h": "clip_h",
    "t5-xxl": "t5xxl",
    "umt5-xxl": "umt5xxl",
}


@dataclass(frozen=True)
class Target:
    """One module of a file to be written.

    Attributes:
        stem: its name.
        layers: canonical layers in the order of its rows; a layer that the source lacks has ΔW = 0.
        swap: the two halves of its rows change places.
    """

    stem: str
    layers: tuple[str, ...]
    swap: bool = False


def targets(adapter: AdapterFile, family: str) -> list[Target]:
    """Return the modules of an adapter written as ``diffusers``, ``kohya``, ``comfyui`` or ``peft``.

    Raises:
        LorascopeError: a layer that the atlas does not know, or that has no name in the family.
    """
    if adapter.beside:
        raise LorascopeError(
            f"{adapter.path}: it trains more than its ΔW, e.g. {adapter.beside[0].key[:200]}: "
            f"{family} has no place for that"
        )
    for layer, module in adapter.modules.items():
        if module.reason:
            raise LorascopeError(f"{adapter.path}: layer {layer}: {module.reason}")
        if module.known is None:
            raise LorascopeError(
                f"{adapter.path}: {layer[:200]} is a layer of no known network: "
                f"its name as {family} cannot be checked"
            )
    if family == "peft":
        _check_one_model(adapter)
    found = []
    for component in dict.fromkeys(module.component for module in adapter.modules.values()):
        own = {layer: module for layer, module in adapter.modules.items() if module.component == component}
        is_main = component in _MAIN and adapter.architectures
        # Where the header chose among models that fit, it chose the names too.
        model = adapter.architectures[0] if is_main else next(iter(own.values())).model
        found += _NAMERS[family](adapter, model, component, own)
    _check(adapter, found)
    return found


def _check_one_model(adapter: AdapterFile) -> None:
    components = list(dict.fromkeys(module.component for module in adapter.modules.values()))
    if len(components) > 1:
        raise LorascopeError(
            f"{adapter.path}: it adapts {' and '.join(components)}, and a PEFT folder holds one model; "
            "convert to diffusers instead"
        )


def _no_place(adapter: AdapterFile, own: Mapping[str, Module], family: str) -> LorascopeError:
    return LorascopeError(
        f"{adapter.path}: {next(iter(own))} belongs to no UNet, transformer or text encoder: "
        f"{family} has no name for it"
    )


def _diffusers(adapter: AdapterFile, model: str, component: str, own: Mapping[str, Module]) -> list[Target]:
    if component == "model":
        raise _no_place(adapter, own, "diffusers")
    if component.startswith("text_encoder"):
        prefix = _T5_IN_FLUX if component == _T5 and _is_flux(adapter) else component
        return [Target(f"{prefix}.{_inside(layer, component)}", (layer,)) for layer in own]
    return [Target(f"{component}.{layer}", (layer,)) for layer in own]


def _peft(adapter: AdapterFile, model: str, component: str, own: Mapping[str, Module]) -> list[Target]:
    return [Target(f"base_model.model.{_inside(layer, component)}", (layer,)) for layer in own]


def _kohya(adapter: AdapterFile, model: str, component: str, own: Mapping[str, Module]) -> list[Target]:
    if component == "model":
        raise _no_place(adapter, own, "kohya-ss")
    if component.startswith("text_encoder"):
        number = {"text_encoder": _first_encoder(adapter), "text_encoder_2": "2", _T5: "3"}.get(
            component, component[-1]
        )
        return [_flat(f"lora_te{number}_", _inside(layer, component), (layer,)) for layer in own]
    native = model not in _CANONICAL_IN_KOHYA
    if architecture(model).prefixes:
        native = any(name in _LDM_IN_KOHYA for name in adapter.architectures)
    if not native:
        return [_flat("lora_unet_", layer, (layer,)) for layer in own]
    return [_flat("lora_unet_", one.stem, one.layers, one.swap) for one in _native(model, own)]


def _flat(prefix: str, name: str, layers: tuple[str, ...], swap: bool = False) -> Target:
    return Target(prefix + name.replace(".", "_"), layers, swap)


def _comfyui(adapter: AdapterFile, model: str, component: str, own: Mapping[str, Module]) -> list[Target]:
    if component.startswith("text_encoder"):
        if model not in _COMFY_ENCODERS:
            raise LorascopeError(
                f"{adapter.path}: ComfyUI's name for {architecture(model).name} is not known"
            )
        prefix = f"text_encoders.{_COMFY_ENCODERS[model]}.transformer"
        return [Target(f"{prefix}.{_inside(layer, component)}", (layer,)) for layer in own]
    if component == "model":
        raise _no_place(adapter, own, "ComfyUI")
    return [Target(f"diffusion_model.{one.stem}", one.layers, one.swap) for one in _native(model, own)]


_NAMERS: dict[str, Callable[..., list[Target]]] = {
    "diffusers": _diffusers,
    "kohya": _kohya,
    "comfyui": _comfyui,
    "peft": _peft,
}


def _first_encoder(adapter: AdapterFile) -> str:
    """kohya-ss numbers text encoders where a pipeline has more than one."""
    components = {module.component for module in adapter.modules.values()}
    several = any(name in _LDM_IN_KOHYA for name in adapter.architectures)
    main = {
        architecture(name).kind == "diffusion" and not architecture(name).prefixes
        for name in adapter.architectures
    }
    return "1" if several or True in main or components & {"text_encoder_2", _T5} else ""


def _is_flux(adapter: AdapterFile) -> bool:
    models = {module.model for module in adapter.modules.values()}
    return any(str(name).startswith(("flux", "chroma")) for name in models)


def _inside(layer: str, component: str) -> str:
    return layer.removeprefix(f"{component}.") if component.startswith("text_encoder") else layer


def _native(model: str, own: Iterable[str]) -> list[Target]:
    """The modules of the native code that hold the layers; a fused one once, whole."""
    by_layer = _native_of(model)
    found: dict[str, Target] = {}
    for layer in own:
        target = by_layer.get(layer) or Target(layer, (layer,))
        found.setdefault(target.stem, target)
    return list(found.values())


@lru_cache(maxsize=4)
def _native_of(model: str) -> dict[str, Target]:
    found: dict[str, list[Target]] = defaultdict(list)
    for stem, layers, swap in architecture(model).native_modules():
        for layer in layers:
            found[layer].append(Target(stem, layers, swap))
    return {layer: some[0] for layer, some in found.items()}


def _check(adapter: AdapterFile, found: Iterable[Target]) -> None:
    """Read every name back before a byte is written."""
    sizes = {
        target.stem: (
            sum(layer_size(adapter, layer, target)[0] for layer in target.layers),
            layer_size(adapter, target.layers[0], target)[1],
        )
        for target in found
    }
    read = identify(sizes).named
    for target in found:
        if read[target.stem].layers != target.layers:
            raise LorascopeError(
                f"{adapter.path}: {target.stem} would be read as {read[target.stem].layers[0][:200]}, "
                f"not as {target.layers[0]}: nothing is written"
            )


def layer_size(adapter: AdapterFile, layer: str, target: Target) -> tuple[int, int]:
    """Return d_out and d_in of a layer; of one that the source lacks, as its siblings have them."""
    if module := adapter.modules.get(layer):
        return module.sizes.d_out, module.sizes.d_in
    sibling = next(adapter.modules[other] for other in target.layers if other in adapter.modules)
    ratio = _atlas_size(sibling.model, layer) / _atlas_size(sibling.model, sibling.layer)
    return round(sibling.sizes.d_out * ratio), sibling.sizes.d_in


@lru_cache(maxsize=4096)
def _atlas_size(model: str, layer: str) -> int:
    return find_name(architecture(model), layer).patterns[0].d_out
