"""The exceptions that users see."""

import errno
from pathlib import Path

# What torch says, the loader where a library does not fit into memory, and pyarrow of a thread's stack.
OUT_OF_MEMORY = ("can't allocate memory", "failed to map segment", "Failed to launch worker thread")


class LorascopeError(Exception):
    """Bad input or settings: one line that says what is wrong, where, and what to do.

    The command prints the message without a traceback and exits with code 2.
    """


class DamagedFileError(LorascopeError):
    """An intermediate file that cannot be what was written: truncated, or its checksums do not fit.

    Args:
        path: the file.
        reason: what is wrong with it.
        unit: file or folder that is written as a whole and must be made again; None for the file alone.
    """

    def __init__(self, path: str | Path, reason: str, unit: str | Path | None = None):
        super().__init__(path, reason, unit)
        self.unit = Path(unit or path)

    def __str__(self) -> str:
        path, reason, _ = self.args
        return f"{path}: {reason}; delete it and run again"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says, in whatever words, that there was no memory."""
    lacking = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    return lacking or any(words in str(error) for words in OUT_OF_MEMORY)
