"""What is used of diffusers and peft, in one place: some has no public name.

Importing this module loads torch.
"""

from lorascope.errors import LorascopeError

try:
    from diffusers.loaders.lora_conversion_utils import (
        _convert_non_diffusers_lora_to_diffusers,
        _maybe_map_sgm_blocks_to_diffusers,
    )
    from diffusers.utils.state_dict_utils import (
        StateDictType,
        convert_state_dict_to_diffusers,
        convert_state_dict_to_kohya,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )
    from peft import LoraConfig
except ImportError as error:
    raise LorascopeError(
        f"diffusers and peft are needed to convert ({error}); run: pip install 'lorascope[convert]'"
    ) from None

convert_kohya_to_diffusers = _convert_non_diffusers_lora_to_diffusers
convert_sgm_blocks_to_diffusers = _maybe_map_sgm_blocks_to_diffusers

__all__ = [
    "LoraConfig",
    "StateDictType",
    "convert_kohya_to_diffusers",
    "convert_sgm_blocks_to_diffusers",
    "convert_state_dict_to_diffusers",
    "convert_state_dict_to_kohya",
    "convert_state_dict_to_peft",
    "convert_unet_state_dict_to_peft",
]
