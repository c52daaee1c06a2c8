"""What an exception of planning says to its reader, in one line."""

import difflib
import re
from collections.abc import Sequence

from lorascope.errors import LorascopeError

_NO_RULE = re.compile(r"No rule to produce (.+?) \(if you use input functions")
_LINE = 2000


def refusal(error: BaseException, targets: Sequence[str] = ()) -> str:
    """Return the line that refuses bad input; empty where the exception is none of the reader's.

    Args:
        error: what ended planning.
        targets: the names that could have been asked for.
    """
    error = _cause(error)
    if unknown := _NO_RULE.search(str(error)):
        return _unknown_target(unknown[1], targets)
    if broken := _yaml_mark(error):
        return broken
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return _one_line(str(error)) if _is_input(error) else ""


def _cause(error: BaseException) -> BaseException:
    """Return what an input function raised: snakemake puts wildcards and a traceback around it."""
    while type(error).__name__ == "InputFunctionException":
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error


def _is_input(error: BaseException) -> bool:
    from snakemake.exceptions import ApiError, CliException, IOException, WorkflowError

    if type(error).__name__ == "InputFunctionException":
        return False
    # What the command line says wrongly is a ValueError of snakemake.
    said_wrongly = isinstance(error, ValueError) and str(error).startswith("Invalid ")
    return said_wrongly or isinstance(
        error, LorascopeError | WorkflowError | ApiError | CliException | IOException
    )


def _one_line(message: str) -> str:
    """Join the lines of a message."""
    return " ".join(message.split())[:_LINE]


def _unknown_target(name: str, targets: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, targets, 1)
    hint = f"did you mean '{close[0]}'?" if close else "`snakemake --list-target-rules` lists what there is"
    return f"no target and no file '{name}'; {hint}"


def _yaml_mark(error: BaseException) -> str:
    """Return file, line and fault of broken YAML, which snakemake keeps to itself; empty for other errors."""
    import yaml

    inner = error.__context__
    while inner is not None:
        if isinstance(inner, yaml.MarkedYAMLError) and (mark := inner.problem_mark):
            place = f"{mark.name}: line {mark.line + 1}, column {mark.column + 1}"
            return f"{place}: not YAML: {_one_line(inner.problem)}"
        inner = inner.__context__
    return ""
