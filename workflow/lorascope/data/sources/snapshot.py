"""What was downloaded from the hub, found again without it."""

from pathlib import Path

from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.files import read_json


def downloaded_files(path: str, downloaded: str | Path | None) -> list[Path]:
    """Return the files of a data set of the hub, as :func:`snapshot_of`."""
    folder, names = snapshot_of(path, downloaded)
    return [folder / name for name in names]


def snapshot_of(path: str, downloaded: str | Path | None) -> tuple[Path, list[str]]:
    """Return the folder that holds a downloaded data set, and the names of its files in it.

    Args:
        path: the data set's name on the hub.
        downloaded: what ``lorascope download`` wrote.

    Raises:
        LorascopeError: nothing was downloaded, or another data set.
        DamagedFileError: a file is no longer there.
    """
    if downloaded is None:
        raise LorascopeError(
            f"{path}: no such folder, and a data set on the hub is downloaded first; run its study with "
            "snakemake, or give --download"
        )
    told = read_json(downloaded)
    if told["path"] != path:
        raise LorascopeError(f"{downloaded}: a download of {told['path']}, not of {path}")
    sizes = {file["path"]: file["size"] for file in told["files"]}
    folders = [cache_folder(path) / "snapshots" / told["commit"], Path(told["folder"])]
    absent = [[name for name in sizes if _size(folder / name) != sizes[name]] for folder in folders]
    for folder, gone in zip(folders, absent, strict=True):
        if not gone:
            return folder, list(sizes)
    reason = f"{absent[0][0]} is no longer in the cache of the hub ({folders[0]})"
    raise DamagedFileError(downloaded, f"{path}: {reason}")


def cache_folder(path: str) -> Path:
    """Return the folder of a data set in the hub's own cache."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=path, repo_type="dataset"))


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
