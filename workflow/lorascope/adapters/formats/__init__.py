"""Adapter files as they are found in the wild: safetensors headers, key names, scales, factor algebra."""
