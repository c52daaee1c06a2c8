"""Counts in sentences for people."""


def plural(count: int, noun: str) -> str:
    """2, "cell" → "2 cells"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
