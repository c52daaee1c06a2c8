"""Sub-commands that lay a data set out and label it."""

import argparse
import shutil
from pathlib import Path

from lorascope.cli.bars import bar, watched
from lorascope.cli.options import add_download, json_map, log, origin_of, step
from lorascope.errors import LorascopeError
from lorascope.wording import plural


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    prepare = step(commands, "prepare", _prepare, "lay a data set out for extraction")
    prepare.add_argument("--dataset", required=True, help="name of the data set")
    prepare.add_argument("--settings", type=json_map, required=True, help="its entry in the config, as JSON")
    prepare.add_argument("--shards", nargs="*", default=[], help="the zoo's .safetensors files")
    prepare.add_argument("--grouping", default="attention", help="attention, block or layer")
    prepare.add_argument("--fingerprint", help="of the source's files, as the plan found them")
    add_download(prepare)
    prepare.add_argument("--out", required=True, help="folder to write into")
    label = step(commands, "label", _label, "write the label and split table")
    label.add_argument("--data", required=True, help="folder that `prepare` wrote")
    label.add_argument("--settings", type=json_map, required=True, help="label, group and split, as JSON")
    label.add_argument("--out", required=True, help="folder to write into")
    passport = step(commands, "passport", _passport, "say what must be known before any score is read")
    passport.add_argument("--data", required=True, help="folder that `prepare` wrote")
    passport.add_argument("--labels", required=True, help="folder that `label` wrote")
    passport.add_argument("--out", required=True, help="folder to write into")


def _prepare(options: argparse.Namespace) -> None:
    from lorascope.data.prepare import prepare
    from lorascope.data.rejected import REJECTED_FILE, rejected_words
    from lorascope.data.sources import open_source, record_planned
    from lorascope.study import steps
    from lorascope.study.config import load_dataset

    settings = load_dataset(options.settings, options.dataset)
    inputs = record_planned(settings, options.fingerprint)
    source = open_source(settings, options.shards, options.out, options.threads, options.download)
    origin = origin_of(options, settings, *steps.PREPARE)
    with bar(f"prepare {options.dataset}", source.adapters.num_rows) as advance:
        written = prepare(
            watched(source, advance),
            options.dataset,
            options.grouping,
            options.out,
            origin,
            inputs,
            settings.get("max_rejected"),
        )
    counts = ", ".join(f"{written[name]} {name}" for name in ("adapters", "matrices", "parameters"))
    log(f"{options.dataset}: {counts}")
    told = written["source"]
    if "rejected" in told:
        log(f"{rejected_words(told)} rejected: {Path(options.out, REJECTED_FILE)}")
    if settings["source"] == "folder":
        from lorascope.data.sources.folder import PARTS_FOLDER

        shutil.rmtree(Path(options.out, PARTS_FOLDER))


def _label(options: argparse.Namespace) -> None:
    from lorascope.data.labels import label_adapters
    from lorascope.data.split import SplitSettings
    from lorascope.study import steps
    from lorascope.study.config import load_section

    origin = {"labels": origin_of(options, options.settings, *steps.LABEL)}
    try:
        label, group, split = (options.settings[name] for name in ("label", "group", "split"))
    except KeyError as missing:
        raise LorascopeError(f"--settings: no {missing}; give label, group and split") from None
    split = SplitSettings(**load_section("split", split or {}))
    manifest = label_adapters(options.data, label, group, split, options.out, origin)
    log(f"{len(manifest['classes'])} classes, split {manifest['split']}")
    if manifest["duplicates"]:
        log(f"{plural(len(manifest['duplicates']), 'set')} of equal adapters, each kept in one part")


def _passport(options: argparse.Namespace) -> None:
    from lorascope.passport.passport import write_passport
    from lorascope.passport.words import passport_lines
    from lorascope.study import steps

    origin = origin_of(options, {}, *steps.PASSPORT)
    passport = write_passport(options.data, options.labels, options.out, origin)
    for line in passport_lines(passport):
        log(line)
