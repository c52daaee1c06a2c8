"""The sub-command that makes a shell complete all others."""

import argparse

from lorascope.cli.options import command

SHELLS = ("bash", "zsh", "tcsh")


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    completion = command(commands, "completion", _completion, "print the script that makes a shell complete")
    completion.add_argument("shell", choices=SHELLS, help="load it with: source <(lorascope completion bash)")


def _completion(options: argparse.Namespace) -> None:
    import shtab

    from lorascope.cli import make_parser

    print(shtab.complete(make_parser(), options.shell))
