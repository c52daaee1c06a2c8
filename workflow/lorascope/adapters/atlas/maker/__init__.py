"""The maker of the atlas: builds every model without weights and writes what it finds.

Nothing here is imported at run time; it needs torch, diffusers and transformers.
"""
