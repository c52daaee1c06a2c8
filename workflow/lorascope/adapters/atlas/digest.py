"""Written by ``make atlas``."""

DIGEST = "9964e8d60506fe4f"
