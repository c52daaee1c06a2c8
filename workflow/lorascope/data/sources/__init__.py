"""The sources of a data set: what a workflow may ask while it is parsed, and how each is opened."""

from collections.abc import Sequence
from pathlib import Path

from lorascope.adapters.architectures import known_layers
from lorascope.adapters.names import check_layers, parse_matrix_name
from lorascope.data.fingerprint import SourceFile, folder_files, joint_fingerprint
from lorascope.data.inputs import Record, fingerprint_by, record
from lorascope.data.sources.base import Source
from lorascope.data.sources.hub import commit_of
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
    if kind == "hub":
        return known_layers(settings["architecture"])
    if kind == "folder":
        from lorascope.data.sources.folder import folder_layers

        return folder_layers(settings)
    from lorascope.data.sources.arrow import disk_schema

    parsed = {
        name: parse_matrix_name(name) for name in disk_schema(settings["path"], settings["hub_split"]).names
    }
    layers = {name: found[0] for name, found in parsed.items() if found}
    check_layers(layers, settings["path"])
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
    """Return what identifies the data: a digest of local files, the revision on the hub, else nothing.

    Args:
        settings: one entry of ``datasets`` in the config.
        laid_out: where the data set is laid out, one folder a key: files that are known there are not read.

    Raises:
        LorascopeError: the folder is missing, or the hub cannot tell the commit of a branch.
    """
    files = source_files(settings)
    if files:
        return fingerprint_by(files, laid_out or "")
    return commit_of(settings["path"], settings["revision"]) if settings["source"] == "hub" else ""


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
    settings: dict, shards: Sequence[str] = (), work_dir: str | Path = ".", processes: int = 1
) -> Source:
    """Open a data set for :func:`lorascope.data.prepare.prepare`.

    Args:
        settings: one entry of ``datasets`` in the config.
        shards: the zoo's shard files, for ``source: zoo``.
        work_dir: where ``source: folder`` keeps what it has read until the data set is laid out.
        processes: how many read files at the same time.
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
        from lorascope.data.sources.arrow import load_hub

        return load_hub(settings["path"], settings["revision"], settings["hub_split"])
    from lorascope.data.sources.arrow import load_disk

    return load_disk(settings["path"], settings["hub_split"])
