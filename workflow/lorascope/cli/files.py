"""Sub-commands on adapter files: no study, no workflow."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from lorascope.cli.options import command
from lorascope.errors import LorascopeError


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    inspect = command(commands, "inspect", _inspect, "show what adapter files hold, and what looks wrong")
    add_files(inspect)
    inspect.add_argument(
        "--strict", action="store_true", help="refuse a file that trains more than its LoRA: heads, biases, …"
    )
    _add_json(inspect)
    diff = command(commands, "diff", _diff, "compare two adapters layer by layer: cosine and norm ratio")
    for name, metavar in (("first", "A"), ("second", "B")):
        adapter = diff.add_argument(name, metavar=metavar, help="adapter file or PEFT folder")
        adapter.complete = ADAPTER
    _add_json(diff)
    convert = command(commands, "convert", _convert, "write an adapter as another family")
    source = convert.add_argument("file", metavar="FILE", help="adapter file or PEFT folder")
    source.complete = ADAPTER
    convert.add_argument("--to", required=True, choices=FAMILIES, help="family to write")
    convert.add_argument("--out", required=True, help="file to write (peft: folder)")
    convert.add_argument("--certify", action="store_true", help="compare ΔW·x before and after")
    _add_json(convert)


FAMILIES = ("diffusers", "kohya", "comfyui", "peft")
ADAPTER = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files -g '*.safetensors' -/",
    "tcsh": "f",
}
"""What a shell offers for an adapter."""


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the argument FILE… to a command on adapter files."""
    files = parser.add_argument("files", metavar="FILE", nargs="+", help="adapter file or PEFT folder")
    files.complete = ADAPTER


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _inspect(options: argparse.Namespace) -> None:
    from lorascope.adapters.files import read_adapter
    from lorascope.adapters.inspection import as_json, inspect_adapter

    cards, failed = [], []
    for file in options.files:
        try:
            inspection = inspect_adapter(read_adapter(file, options.strict))
        except LorascopeError as error:
            failed.append(error)
            cards.append({"path": file, "error": str(error)})
            if not options.json and len(options.files) > 1:
                print(f"lorascope inspect: {error}", file=sys.stderr)
            continue
        cards.append(as_json(inspection))
        if not options.json:
            from lorascope.cli.cards import print_inspection

            print_inspection(inspection)
    if options.json:
        print(json.dumps(cards, indent=2, allow_nan=False))
    if failed:
        given = len(options.files)
        raise failed[0] if given == 1 else LorascopeError(f"{len(failed)} of {given} files were not read")


def _diff(options: argparse.Namespace) -> None:
    from lorascope.adapters.delta import compare_adapters
    from lorascope.adapters.files import read_adapter

    difference = compare_adapters(read_adapter(options.first), read_adapter(options.second))
    if options.json:
        print(json.dumps(asdict(difference), indent=2, allow_nan=False))
        return
    from lorascope.cli.cards import print_difference

    print_difference(difference)


def _convert(options: argparse.Namespace) -> None:
    from lorascope.adapters.files import read_adapter

    # Read before torch is loaded: most mistakes show here, at once.
    adapter = read_adapter(options.file)
    from lorascope.adapters.convert import convert

    errors = convert(adapter, options.to, Path(options.out), options.certify)
    result = {"path": options.out, "family": options.to, "layers": len(adapter.modules)}
    if options.certify:
        result |= {"largest_error": max(errors.values()), "errors": errors}
    if options.json:
        print(json.dumps(result, indent=2, allow_nan=False))
        return
    print(f"{options.out}: {len(adapter.modules)} layers written as {options.to}")
    if options.certify:
        print(f"certified: ΔW·x differs by at most {result['largest_error']:.1e} of its size")
