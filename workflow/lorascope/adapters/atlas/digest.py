"""Written by ``make atlas``."""

DIGEST = "890dee960b01d2d7"
