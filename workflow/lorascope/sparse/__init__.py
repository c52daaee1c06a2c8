"""Adaptive sparse training of an image classifier: train only on the samples that a gate activates."""
