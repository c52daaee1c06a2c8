"""Source `folder`: adapter files of any family in a folder tree, labelled by a table or by their folders."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.adapters.files import find_adapter_files, read_adapter
from lorascope.adapters.names import DOWN, UP, MatrixInfo
from lorascope.data.fingerprint import SourceFile, folder_files
from lorascope.data.rejected import Rejection
from lorascope.data.same_update import same_updates
from lorascope.data.sources.base import Batch, Source
from lorascope.data.sources.folder_labels import Labelled, label_files
from lorascope.data.sources.folder_parts import Part, Shapes, attention_shapes, padded, read_parts
from lorascope.errors import LorascopeError

PARTS_FOLDER = "parts"
# Headers looked at while a workflow is parsed: enough to know the common layers of any number of files.
SAMPLED_FILES = 64
# A name that no file in the folder can have: where the table lies does not matter.
_LABELS_OUTSIDE = "/labels"


def folder_layers(settings: dict) -> list[str]:
    """Return the layers of a folder's data set, from the headers of some files.

    Raises:
        LorascopeError: there is no folder, or no file in it that can be read and has attention layers.
    """
    return list(common_shapes(settings["path"]))


def files_of(settings: dict) -> dict[str, SourceFile]:
    """Return all files of a folder, and the table of labels wherever it lies, by name.

    Raises:
        LorascopeError: the folder or the table is missing, or the folder is empty.
    """
    root, table = Path(settings["path"]), labels_path(settings)
    files = folder_files(root)
    if table is None:
        return files
    if not table.is_file():
        raise LorascopeError(f"{table}: no such file; set `labels` to the table of labels")
    inside = table.resolve().is_relative_to(root.resolve())
    name = table.resolve().relative_to(root.resolve()).as_posix() if inside else _LABELS_OUTSIDE
    return {**files, name: SourceFile(table, whole=True)}


def labels_path(settings: dict) -> Path | None:
    """Return where the table of labels lies: relative paths count from the folder."""
    return Path(settings["path"], settings["labels"]) if settings["labels"] else None


def common_shapes(path: str | Path) -> Shapes:
    """Return layer → (d_out, d_in) that most of the sampled files have, sorted by name.

    Raises:
        LorascopeError: no file can be read, or none has attention layers.
    """
    files = find_adapter_files(path)
    if not files:
        raise LorascopeError(f"{path}: no adapter file in this folder; expected .safetensors")
    places = np.unique(np.linspace(0, len(files) - 1, SAMPLED_FILES).astype(int))
    found = Counter(_signatures(files[place] for place in places))
    if not found:
        raise LorascopeError(
            f"{path}: none of {len(places)} files looked at can be read as an adapter with attn1 or attn2 "
            "layers; `lorascope inspect FILE` says why"
        )
    most = max(found.values())
    return dict(min(signature for signature, count in found.items() if count == most))


def _signatures(files) -> Iterator[tuple]:
    for file in files:
        try:
            shapes = attention_shapes(read_adapter(file))
        except LorascopeError:
            continue
        if shapes:
            yield tuple(sorted(shapes.items()))


def load_folder(settings: dict, work_dir: str | Path, processes: int = 1) -> Source:
    """Read all files once, in parallel; what is read is kept in ``work_dir`` until the data set is laid out.

    A file that cannot be used is listed with the reason in ``work_dir/rejected.csv`` and left out. Adapters
    of lower rank are padded with zeros to the largest rank of each layer, which changes no update. A read
    that was killed goes on where it was.

    Args:
        settings: entry of ``datasets`` in the config, defaults filled in.
        work_dir: folder for ``parts/`` and ``rejected.csv``.
        processes: how many read at the same time.

    Raises:
        LorascopeError: no usable file, or a larger share is rejected than ``max_rejected`` allows.
    """
    root, work_dir = Path(settings["path"]), Path(work_dir)
    shapes = common_shapes(root)
    labelled = label_files(root, labels_path(settings), settings["path_column"], settings["label"])
    parts = read_parts(root, labelled.files, shapes, settings["max_rank"], work_dir / PARTS_FOLDER, processes)
    rejected = sorted([*labelled.rejected, *(entry for part in parts for entry in part.rejected)])
    n_accepted = sum(len(part.adapters) for part in parts)
    rejection = Rejection(str(root), "file", n_accepted + len(rejected), rejected)
    rejection.write(work_dir)
    rejection.check(settings["max_rejected"], work_dir)
    ranks = {layer: max(part.ranks[layer] for part in parts if part.adapters) for layer in shapes}
    matrices = [
        matrix
        for layer, (d_out, d_in) in shapes.items()
        for matrix in (
            MatrixInfo(f"{layer}.{DOWN}", layer, DOWN, ranks[layer], d_in),
            MatrixInfo(f"{layer}.{UP}", layer, UP, d_out, ranks[layer]),
        )
    ]

    def batches() -> Iterator[Batch]:
        for part in parts:
            if part.adapters:
                yield {matrix.column: padded(part, matrix) for matrix in matrices}

    origin = {"path": str(root), "files": rejection.total, "rejected": len(rejected)}
    sketches = np.concatenate([part.sketches for part in parts])
    table = _adapter_table(labelled, parts)
    return Source(matrices, table, batches, origin, fingerprints=same_updates(sketches))


def _adapter_table(labelled: Labelled, parts: Sequence[Part]) -> pa.Table:
    """Return what labels and files say of the accepted adapters."""
    about = [entry for part in parts for entry in part.adapters]
    rows = {file: row for row, file in enumerate(labelled.files)}
    table = labelled.table.take(pa.array([rows[entry["file"]] for entry in about]))
    for name in ("family", "rank", "other_layers"):
        if name not in table.column_names:
            table = table.append_column(name, pa.array([entry[name] for entry in about]))
    return table
