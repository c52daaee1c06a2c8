"""Probes: classifiers that show how much of the label a representation holds."""
