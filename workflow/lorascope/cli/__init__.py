"""The command ``lorascope``: one sub-command a step. Heavy imports wait until the step is known."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from lorascope import __version__
from lorascope.cli import (
    completion,
    controls,
    data,
    features,
    files,
    hub,
    importance,
    predict,
    progress,
    results,
    show,
    sparse,
    sparse_results,
    store,
    studies,
    train,
    zoo,
)
from lorascope.errors import DamagedFileError, LorascopeError, is_out_of_memory

EXIT_BAD_INPUT, EXIT_MACHINE = 2, 1
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
SUBJECTS = (
    files,
    predict,
    studies,
    progress,
    show,
    zoo,
    hub,
    data,
    features,
    train,
    controls,
    importance,
    store,
    results,
    sparse,
    sparse_results,
    completion,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: its own or 0; after one line 2 (bad input) or 1 (machine)."""
    options = make_parser().parse_args(arguments)
    if getattr(options, "threads", None):
        _limit_threads(options.threads)
    try:
        code = options.run(options) or 0
        sys.stdout.flush()
    except LorascopeError as error:
        print(f"lorascope {options.command}: error: {_told(error, options)}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        if not (reason := _machine(error)):
            raise
        print(f"lorascope {options.command}: error: {reason}", file=sys.stderr)
        return EXIT_MACHINE
    return code


def _machine(error: Exception) -> str:
    """Return what the machine lacks, in one line; empty where the error is none of the machine's."""
    if is_out_of_memory(error):
        return "out of memory; give this job more, or run fewer at a time (--cores), and run again"
    if isinstance(error, OSError):
        return f"{' '.join(str(error).split())}; see to it and run again"
    return ""


def _told(error: LorascopeError, options: argparse.Namespace) -> str:
    """Return the message. A step of the workflow marks a damaged file: the next run makes it again."""
    if not (isinstance(error, DamagedFileError) and getattr(options, "key", "")):
        return str(error)
    from lorascope.leftovers import mark_damaged

    try:
        mark_damaged(error.unit)
    except OSError:
        return str(error)
    return f"{error} (marked as damaged: just run again)"


def _limit_threads(threads: int) -> None:
    """Libraries read these once, when they are loaded."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)


class _Parser(argparse.ArgumentParser):
    """Answers a wrong argument with one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    parser = _Parser(prog="lorascope", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"lorascope {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for subject in SUBJECTS:
        subject.add(commands)
    return parser
