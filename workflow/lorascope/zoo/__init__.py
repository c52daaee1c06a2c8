"""The zoo: real LoRA adapters of a tiny text-to-image UNet, trained here on real images.

Without torch: :mod:`.architecture`, :mod:`.images`, :mod:`.recipe`, :mod:`.shards`. With torch: :mod:`.unet`,
:mod:`.diffusion`, :mod:`.lora`, :mod:`.base`, :mod:`.train`, :mod:`.pictures`, and :mod:`.steps`, which holds
what the command calls.
"""
