"""Names of layers in each family's spelling, by diffusers' own functions where they cover them.

Their functions rename the keys of a dictionary and leave the values alone: here the values are the keys, so
that no weight passes through them. Importing this module loads torch.
"""

from collections.abc import Callable, Iterable
from types import SimpleNamespace

from lorascope.adapters.files import AdapterFile
from lorascope.adapters.formats.keys import DIFFUSERS, DIFFUSERS_OLD, KOHYA
from lorascope.adapters.formats.paths import component_of, to_ldm
from lorascope.adapters.libraries import (
    StateDictType,
    convert_kohya_to_diffusers,
    convert_sgm_blocks_to_diffusers,
    convert_state_dict_to_diffusers,
    convert_state_dict_to_kohya,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from lorascope.adapters.names import parse_matrix_name
from lorascope.errors import LorascopeError

SDXL = "Stable Diffusion XL"
# Stability AI's UNets have three modules a resolution: two residual blocks and a sampler.
_STABLE_DIFFUSION = SimpleNamespace(layers_per_block=2)
_COVERED = ("unet", "text_encoder", "text_encoder_2")


def check_names(adapter: AdapterFile) -> None:
    """Check that diffusers gives every layer it covers the name that lorascope gives it.

    Raises:
        LorascopeError: the two disagree: nobody should trust the conversion.
    """
    ours = {
        module.keys["down"]: layer
        for layer, module in adapter.modules.items()
        if module.family in (KOHYA, DIFFUSERS, DIFFUSERS_OLD) and component_of(layer) in _COVERED
    }
    for key, layer in layers_by_diffusers(ours).items():
        if layer != ours[key]:
            raise LorascopeError(f"{adapter.path}: {key} is {layer} in diffusers, {ours[key]} here")


def layers_by_diffusers(keys: Iterable[str]) -> dict[str, str]:
    """Return key of a ``down`` matrix → layer, as diffusers' functions name it; without what they refuse."""
    names = {key: key for key in keys}
    kohya = {key: key for key in names if key.startswith("lora_")}
    try:
        renamed = _kohya_to_diffusers(kohya) if kohya else {}
    except (ValueError, KeyError, IndexError):
        # Names that diffusers does not know: ours have nothing to be held against.
        renamed = {}
    renamed |= {key: key for key in names if key not in kohya}
    found = {}
    for name, key in renamed.items():
        component, _, rest = name.partition(".")
        if component.startswith("text_encoder"):
            old = StateDictType.DIFFUSERS_OLD if "_lora." in rest else StateDictType.DIFFUSERS
            peft = f"{component}.{next(iter(convert_state_dict_to_peft({rest: key}, original_type=old)))}"
        else:
            peft = next(iter(convert_unet_state_dict_to_peft({name.removeprefix("unet."): key})))
        if parsed := parse_matrix_name(peft):
            found[key] = parsed[0]
    return found


def _kohya_to_diffusers(names: dict[str, str]) -> dict[str, str]:
    # Their function takes both matrices of a layer and drops no key silently.
    both = names | {key.replace("lora_down", "lora_up"): "" for key in names}
    mapped = convert_sgm_blocks_to_diffusers(both, _STABLE_DIFFUSION)
    renamed, _ = convert_kohya_to_diffusers(mapped)
    return {name: key for name, key in renamed.items() if key}


def diffusers_stems(layers: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return layer → keys of its down and up matrix as diffusers writes them.

    Attention projections are called as its training scripts call them (``to_q.lora.down.weight``). Where
    other layers of the UNet are adapted too, all of them have PEFT's names: diffusers' loader takes a file
    for one or the other.
    """
    keys = _matrix_keys(
        layers, lambda names: convert_state_dict_to_diffusers(names, original_type=StateDictType.PEFT)
    )
    if not any("lora_A" in down for down, _ in keys.values() if down.startswith("unet.")):
        return keys
    peft = _matrix_keys(layers, lambda names: names)
    return {layer: peft[layer] if pair[0].startswith("unet.") else pair for layer, pair in keys.items()}


def kohya_stems(layers: Iterable[str], base_model: str | None) -> dict[str, tuple[str, str]]:
    """Return layer → keys of its down and up matrix as kohya-ss writes them for the base model."""
    layers = list(layers)
    if base_model == SDXL:
        # kohya-ss trains this base on Stability AI's own UNet, whose paths diffusers' functions cannot write.
        paths = {layer: to_ldm(layer) if component_of(layer) == "unet" else layer for layer in layers}
    else:
        paths = {layer: layer for layer in layers}
    keys = _matrix_keys(
        paths.values(), lambda names: convert_state_dict_to_kohya(names, original_type=StateDictType.PEFT)
    )
    two_encoders = base_model == SDXL or any(layer.startswith("text_encoder_2.") for layer in layers)
    prefix = "lora_te1_" if two_encoders else "lora_te_"
    return {
        layer: tuple(key.replace("lora_te1_", prefix, 1) for key in keys[path])
        for layer, path in paths.items()
    }


def _matrix_keys(layers: Iterable[str], rename: Callable[[dict], dict]) -> dict[str, tuple[str, str]]:
    sides = {layer: [f"{_in_pipeline(layer)}.lora_{side}.weight" for side in "AB"] for layer in layers}
    renamed = rename({key: key for keys in sides.values() for key in keys})
    # Alphas are added by the library: their values are no key of ours.
    new = {old: name for name, old in renamed.items() if isinstance(old, str)}
    return {layer: (new[down], new[up]) for layer, (down, up) in sides.items()}


def _in_pipeline(layer: str) -> str:
    """In a pipeline's file, layers of the UNet have a prefix too."""
    return layer if layer.startswith("text_encoder") else f"unet.{layer}"
