"""A copy of the package's source that a test may edit; keys are taken from it instead."""

import shutil
from pathlib import Path

import lorascope
from lorascope.study import keys


class PackageCopy:
    """The source in a folder of its own.

    Attributes:
        root: the folder; it takes the place of the package's own wherever code is digested.
    """

    def __init__(self, folder: Path):
        self.root = folder / "lorascope"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(lorascope.__file__).parent, self.root, ignore=ignored)

    def append(self, file: str, text: str = "EDITED = True\n") -> None:
        """Add a line, or several, to a module; to a new one where there is none."""
        with (self.root / file).open("a") as opened:
            opened.write(text)
        self.forget()

    @staticmethod
    def forget() -> None:
        """Make keys read the source again; within a run nothing is read twice."""
        for cached in (keys.code_digest, keys._path, keys._module, keys._imports):
            cached.cache_clear()
