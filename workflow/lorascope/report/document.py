"""Tables in Markdown files, between two marks: generated, never typed."""

from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.files import write_bytes


def marks(name: str) -> tuple[str, str]:
    """Return the lines that a generated part stands between."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def fill(path: str | Path, name: str, content: str) -> None:
    """Replace what stands between the marks ``name`` of a Markdown file.

    Raises:
        LorascopeError: the file is missing or lacks the marks.
    """
    path, (begin, end) = Path(path), marks(name)
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise LorascopeError(f"{path}: no such file") from None
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise LorascopeError(f"{path}: lacks the lines {begin} and {end}; add them where the table belongs")
    write_bytes(path, f"{before}{begin}\n{content}\n{end}{after}".encode())
