"""Networks that read the factors of an update themselves and keep to its symmetry."""
