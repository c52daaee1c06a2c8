"""The sources of a data set: what a workflow may ask while it is parsed, and how each is opened.

Of a data set on the hub, what is known without it comes from :mod:`lorascope.data.hub`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lorascope.adapters.names import check_layers, parse_matrix_name
from lorascope.data.fingerprint import SourceFile, folder_files, joint_fingerprint
from lorascope.data.inputs import Record, fingerprint_by, record
from lorascope.data.sources.base import Source
from lorascope.errors import LorascopeError


def zoo_knobs(settings: dict) -> dict:
    """Return the recipe's knobs among the settings of a zoo data set."""
    return {name: value for name, value in settings.items() if name not in ("source", "label")}


def source_layers(settings: dict) -> list[str]:
    """Return the layers of a data set without loading it.

    Raises:
        LorascopeError: the data set is not where the settings say, or has no LoRA matrices, or layers that
            are neither attn1 nor attn2.
    """
    kind = settings["source"]
    if kind == "zoo":
        from lorascope.zoo.recipe import Recipe, target_layers

        return [layer for layer, *_ in target_layers(Recipe.from_settings(zoo_knobs(settings)))]
    if kind == "sanity":
        from lorascope.data.sources.sanity import sanity_layers

        return sanity_layers()
    if kind == "folder":
        from lorascope.data.sources.folder import folder_layers

        return folder_layers(settings)
    from lorascope.data.sources.arrow import disk_schema

    return layers_of_columns(disk_schema(settings["path"], settings["hub_split"]).names, settings["path"])


def layers_of_columns(columns: Iterable[str], where: str) -> list[str]:
    """Return the layers whose matrices some columns hold.

    Raises:
        LorascopeError: there is none, or one that is neither attn1 nor attn2.
    """
    parsed = {name: parse_matrix_name(name) for name in columns}
    layers = {name: found[0] for name, found in parsed.items() if found}
    check_layers(layers, where)
    return list(dict.fromkeys(layers.values()))


def source_files(settings: dict) -> dict[str, SourceFile]:
    """Return the local files of a data set by name; none where there are none, as of a commit on the hub.

    Raises:
        LorascopeError: the folder is missing or empty, or there is no table of labels.
    """
    kind = settings["source"]
    if kind == "folder":
        from lorascope.data.sources.folder import files_of

        return files_of(settings)
    if kind == "disk" or (kind == "hub" and Path(settings["path"]).is_dir()):
        return folder_files(settings["path"])
    return {}


def source_fingerprint(settings: dict, laid_out: str | Path | None = None) -> str:
    """Return what identifies the data: a digest of local files; nothing where there are none.

    Args:
        settings: one entry of ``datasets`` in the config.
        laid_out: where the data set is laid out, one folder a key: files that are known there are not read.

    Raises:
        LorascopeError: the folder is missing.
    """
    files = source_files(settings)
    return fingerprint_by(files, laid_out or "") if files else ""


def record_planned(settings: dict, planned: str | None = None) -> Record:
    """Return the record of a data set's files, before they are read.

    Args:
        settings: one entry of ``datasets`` in the config.
        planned: the fingerprint that the plan found; None where nothing was planned.

    Raises:
        LorascopeError: the files have another fingerprint by now.
    """
    recorded = record(source_files(settings))
    found = joint_fingerprint({name: entry["fingerprint"] for name, entry in recorded.items()})
    if recorded and planned and found != planned:
        raise LorascopeError(f"{settings['path']}: changed since the run was planned; run snakemake again")
    return recorded


def open_source(
    settings: dict,
    shards: Sequence[str] = (),
    work_dir: str | Path = ".",
    processes: int = 1,
    downloaded: str | Path | None = None,
) -> Source:
    """Open a data set for :func:`lorascope.data.prepare.prepare`.

    Args:
        settings: one entry of ``datasets`` in the config.
        shards: the zoo's shard files, for ``source: zoo``.
        work_dir: where ``source: folder`` keeps what it has read until the data set is laid out.
        processes: how many read files at the same time.
        downloaded: what ``lorascope download`` wrote, for a data set on the hub.

    Raises:
        LorascopeError: the source is not there, or cannot be read.
    """
    kind = settings["source"]
    if kind == "zoo":
        from lorascope.data.sources.zoo import load_zoo

        return load_zoo(shards)
    if kind == "sanity":
        from lorascope.data.sources.sanity import load_sanity

        return load_sanity()
    if kind == "folder":
        from lorascope.data.sources.folder import load_folder

        return load_folder(settings, work_dir, processes)
    if kind == "hub":
        from lorascope.data.sources.arrow import load_hub_folder, load_parquet
        from lorascope.data.sources.snapshot import downloaded_files

        if Path(settings["path"]).is_dir():
            return load_hub_folder(settings["path"], settings["hub_split"])
        return load_parquet(downloaded_files(settings["path"], downloaded), settings["path"])
    from lorascope.data.sources.arrow import load_disk

    return load_disk(settings["path"], settings["hub_split"])
