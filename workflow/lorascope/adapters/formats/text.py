"""Text from strangers: what may be printed of it."""


def plain(text: object, most: int = 200) -> str:
    """Return ``text`` as one printable line of at most ``most`` characters: it must not steer a terminal."""
    line = "".join(char for char in " ".join(str(text).split()) if char.isprintable())
    return line if len(line) <= most else line[: most - 1] + "…"
