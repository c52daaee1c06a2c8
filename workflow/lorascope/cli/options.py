"""What the sub-commands share: typed options, the common ones of a step, the log."""

import argparse
import json
import sys
from collections.abc import Callable


def json_map(text: str) -> dict:
    """Read a map in JSON, as argparse's ``type``."""
    return _json(text, dict, "a map")


def json_list(text: str) -> list:
    """Read a list in JSON, as argparse's ``type``."""
    return _json(text, list, "a list")


def _json(text: str, kind: type, name: str):
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, kind):
        raise argparse.ArgumentTypeError(f"not {name} in JSON: {text}")
    return value


def command(
    commands, name: str, run: Callable[[argparse.Namespace], None], summary: str
) -> argparse.ArgumentParser:
    """Add a sub-command that calls ``run`` with its options."""
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(run=run)
    return parser


def step(
    commands, name: str, run: Callable[[argparse.Namespace], None], summary: str
) -> argparse.ArgumentParser:
    """Add a step of the workflow: it has a key and a number of threads."""
    parser = command(commands, name, run, summary)
    parser.add_argument("--key", default="", help="content address, stored in what is written")
    parser.add_argument("--threads", type=int, default=1, help="threads of the numerical libraries")
    return parser


# What every command that takes a study says of it.
STUDY = "NAME or NAME/DATASET of a study, or the folder of its results"


def add_download(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what of a data set on the hub is here."""
    parser.add_argument(
        "--download", nargs="?", metavar="FILE", help="what `download` wrote, for a data set on the hub"
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where named studies lie."""
    parser.add_argument(
        "--results", metavar="DIR", default="results", help="folder of named studies (default: results)"
    )


def origin_of(options: argparse.Namespace, settings: dict, *modules: str, device: str = "cpu") -> dict:
    """Return the provenance that a step stores in what it writes."""
    from lorascope.study.provenance import provenance

    return provenance(options.key, settings, modules, device)


def log(line: str) -> None:
    """Print a line to the log (stderr)."""
    print(line, file=sys.stderr, flush=True)
