"""Tables in Markdown files, between two marks: generated, never typed."""

import os
import platform
from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.files import write_bytes

CPU_FACTS = Path("/proc/cpuinfo")


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


def machine() -> str:
    """Return this machine in words: processor and number of cores."""
    model = platform.processor() or platform.machine()
    if CPU_FACTS.exists():
        named = [line for line in CPU_FACTS.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    return f"{model}, {os.cpu_count()} cores"
