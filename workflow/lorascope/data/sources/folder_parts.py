"""Read adapter files in parallel, some at a time into one part file, so that a killed read goes on."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from lorascope.adapters.files import PEFT_WEIGHTS, SUFFIX, AdapterFile, read_adapter
from lorascope.adapters.names import DOWN, UP, MatrixInfo, attention_of
from lorascope.data.fingerprint import state_of
from lorascope.data.same_update import WIDTH, sketch_updates
from lorascope.errors import LorascopeError
from lorascope.files import METADATA_KEY, atomic_path
from lorascope.processes import process_pool
from lorascope.wording import plural

# A part is read into memory as a whole: by one process when it is made, by one when it is laid out.
PART_FILES = 64
PART_BYTES = 64 << 20
_ENTRY = METADATA_KEY.decode()
_SKETCHES = "sketches"

Shapes = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Part:
    """What one part file holds, but for the weights.

    Attributes:
        path: of the part file.
        adapters: ``file``, ``family``, ``rank`` (largest) and ``other_layers`` (left out) of each adapter.
        rejected: (file, reason).
        ranks: layer → rank of its stacked factors.
        sketches: see ``lorascope.data.same_update``, float64 [adapters, ``WIDTH``].
    """

    path: Path
    adapters: list[dict]
    rejected: list[tuple[str, str]]
    ranks: dict[str, int]
    sketches: np.ndarray


def attention_shapes(adapter: AdapterFile) -> Shapes:
    """Return layer → (d_out, d_in) of the layers in attn1 and attn2."""
    return {layer: shape[:2] for layer, shape in adapter.shapes.items() if attention_of(layer)}


def read_parts(
    root: Path, files: Sequence[str], shapes: Shapes, max_rank: int, folder: Path, processes: int
) -> list[Part]:
    """Read the files into parts, those that are not there yet.

    Args:
        root: folder of the files.
        files: paths below it.
        shapes: layers that every adapter must have.
        max_rank: files of a higher rank are rejected.
        folder: where the parts go.
        processes: how many read at the same time.
    """
    settings = [sorted(shapes.items()), max_rank]
    named = [
        (folder / f"{_digest(root, some, settings)}.safetensors", some) for some in _portions(root, files)
    ]
    missing = [entry for entry in named if not entry[0].exists()]
    write = partial(_write_part, root, shapes, max_rank)
    if processes > 1 and len(missing) > 1:
        with process_pool(processes, str(root)) as pool:
            list(pool.map(write, missing))
    else:
        for entry in missing:
            write(entry)
    return [_read_part(path) for path, _ in named]


def padded(part: Part, matrix: MatrixInfo) -> np.ndarray:
    """Return one matrix of the part's adapters, float32 [n, rows, cols], zeros beyond their own rank."""
    with _opened(part.path) as stored:
        values = stored.get_tensor(matrix.name)
    full = np.zeros((len(values), matrix.rows, matrix.cols), np.float32)
    full[:, : values.shape[1], : values.shape[2]] = values
    return full


def _portions(root: Path, files: Sequence[str]) -> Iterator[list[str]]:
    portion, largest = [], 0
    for file in files:
        own = _weights_file(root, file).stat().st_size
        # Stacked, each adapter takes as much as the largest.
        size = (len(portion) + 1) * max(largest, own)
        if portion and (len(portion) == PART_FILES or size > PART_BYTES):
            yield portion
            portion, largest = [], 0
        portion.append(file)
        largest = max(largest, own)
    if portion:
        yield portion


def _weights_file(root: Path, file: str) -> Path:
    path = root / file
    return path / (PEFT_WEIGHTS + SUFFIX) if (path / (PEFT_WEIGHTS + SUFFIX)).exists() else path


def _digest(root: Path, files: Sequence[str], settings: object) -> str:
    contents = [state_of(path) for file in files for path in _files_of(root, file)]
    return hashlib.sha256(json.dumps([list(files), contents, settings]).encode()).hexdigest()[:16]


def _files_of(root: Path, file: str) -> list[Path]:
    path = root / file
    return sorted(inner for inner in path.iterdir() if inner.is_file()) if path.is_dir() else [path]


def _write_part(root: Path, shapes: Shapes, max_rank: int, named: tuple[Path, Sequence[str]]) -> None:
    path, files = named
    adapters, rejected, stacks = [], [], []
    with threadpool_limits(1):
        for file in files:
            try:
                about, factors = _read_file(root, file, shapes, max_rank)
            except (LorascopeError, OSError) as error:
                rejected.append((file, _reason(error, root, file)))
            else:
                adapters.append(about)
                stacks.append(factors)
        arrays = _stacked(stacks, list(shapes)) if stacks else {}
    # One metadata entry only: safetensors writes several in an order that changes from run to run.
    header = {_ENTRY: json.dumps({"adapters": adapters, "rejected": rejected})}
    with atomic_path(path) as temp:
        save_file(arrays, temp, header)


def _read_file(root: Path, file: str, shapes: Shapes, max_rank: int) -> tuple[dict, list]:
    adapter = read_adapter(root / file)
    own = {layer: shape for layer, shape in adapter.shapes.items() if attention_of(layer)}
    _check_layers(own, shapes)
    rank = max(shape[2] for shape in own.values())
    if rank > max_rank:
        raise LorascopeError(f"rank {rank} is above max_rank ({max_rank})")
    factors = []
    for layer in shapes:
        found = adapter.layers[layer]
        if not (np.isfinite(found.down).all() and np.isfinite(found.up).all()):
            raise LorascopeError(f"layer {layer} has NaN or infinite weights")
        factors.append((found.down, found.up))
    others = len(adapter.shapes) - len(own)
    return {"file": file, "family": adapter.family, "rank": rank, "other_layers": others}, factors


def _check_layers(own: dict[str, tuple[int, int, int]], shapes: Shapes) -> None:
    if absent := sorted(set(shapes) - set(own)):
        raise LorascopeError(f"lacks {plural(len(absent), 'layer')} that most files have, first {absent[0]}")
    if strange := sorted(set(own) - set(shapes)):
        raise LorascopeError(
            f"has {plural(len(strange), 'attention layer')} that most files lack, first {strange[0]}"
        )
    for layer, shape in shapes.items():
        if own[layer][:2] != shape:
            raise LorascopeError(f"layer {layer} is {own[layer][:2]} where most files have {shape}")


def _reason(error: Exception, root: Path, file: str) -> str:
    words = " ".join(str(error).split())
    for path in (_weights_file(root, file), root / file):
        words = words.removeprefix(f"{path}: ")
    return words


def _stacked(stacks: list[list[tuple[np.ndarray, np.ndarray]]], layers: list[str]) -> dict[str, np.ndarray]:
    """Return the arrays of a part: factors of each layer at the largest rank, and the sketches."""
    arrays, factors = {}, []
    for position, layer in enumerate(layers):
        own = [stack[position] for stack in stacks]
        rank = max(len(down) for down, _ in own)
        down = np.zeros((len(own), rank, own[0][0].shape[1]), np.float32)
        up = np.zeros((len(own), own[0][1].shape[0], rank), np.float32)
        for row, (a, b) in enumerate(own):
            down[row, : len(a)], up[row, :, : len(a)] = a, b
        arrays |= {f"{layer}.{DOWN}": down, f"{layer}.{UP}": up}
        factors.append((down, up))
    return {**arrays, _SKETCHES: sketch_updates(factors)}


def _read_part(path: Path) -> Part:
    with _opened(path) as stored:
        about = json.loads(stored.metadata()[_ENTRY])
        names = set(stored.keys())
        sketches = stored.get_tensor(_SKETCHES) if _SKETCHES in names else np.zeros((0, WIDTH))
        downs = [name for name in names if name.endswith(f".{DOWN}")]
        ranks = {name.removesuffix(f".{DOWN}"): stored.get_slice(name).get_shape()[1] for name in downs}
    rejected = [(file, reason) for file, reason in about["rejected"]]
    return Part(path, about["adapters"], rejected, ranks, sketches)


def _opened(path: Path):
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise LorascopeError(f"{path}: not a readable part ({error}); delete it and run again") from None
