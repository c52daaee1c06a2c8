"""lorascope: read what a LoRA adapter learned from its weights alone."""

__version__ = "0.1.0"
