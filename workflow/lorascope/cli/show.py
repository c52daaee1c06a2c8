"""The sub-command that says what finished studies found."""

import argparse
import json

from lorascope.cli.options import add_results, command


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    show = command(commands, "show", _show, "say what a finished study found, and where its page lies")
    show.add_argument("study", nargs="?", metavar="STUDY", help="name of a study (default: all of them)")
    add_results(show)
    show.add_argument("--json", action="store_true", help="print JSON")


def _show(options: argparse.Namespace) -> None:
    from lorascope.study.named import study_folders
    from lorascope.study.show import study_answer, study_record

    folders = study_folders(options.results, options.study)
    if options.json:
        print(
            json.dumps(
                [study_record(folder) for folder in folders], indent=2, ensure_ascii=False, allow_nan=False
            )
        )
        return
    for folder in folders:
        if len(folders) > 1:
            print(f"Study {folder.name}")
        print(
            "\n".join(study_answer(folder) or ["Nothing is finished yet; `lorascope progress` tells more."])
        )
