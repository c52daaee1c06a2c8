"""The exceptions that users see."""

from pathlib import Path


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
