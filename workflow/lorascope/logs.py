"""What the log of a job tells."""

import re
from pathlib import Path

# "SomeError: …", "lorascope train: error: …", a bare "MemoryError", or the kernel's "Killed".
_ERROR = re.compile(r"\w*(?:error|exception)\s*(?::|$)|\bkilled\b", re.IGNORECASE)
_COMMAND = re.compile(r"^lorascope(?: [\w-]+)?: error: ")


def error_in(log: str | Path) -> str:
    """Return the last line of a log that reports an error, without the command's name; empty for none."""
    return _last(log, _ERROR)


def last_line(log: str | Path) -> str:
    """Return the last line of a log that is not empty; empty where there is none."""
    return _last(log, re.compile(r"\S"))


def _last(log: str | Path, wanted: re.Pattern) -> str:
    try:
        lines = Path(log).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    found = next((line.strip() for line in reversed(lines) if wanted.search(line)), "")
    return _COMMAND.sub("", found)
