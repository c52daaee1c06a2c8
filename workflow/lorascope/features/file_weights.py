"""Single adapter files in the layout of a prepared data set, so that they go through the same extraction."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lorascope.adapters.files import AdapterFile
from lorascope.adapters.names import DOWN, UP, MatrixInfo, attention_of
from lorascope.errors import LorascopeError
from lorascope.features.layer_factors import LayerFactors
from lorascope.files import read_table
from lorascope.wording import plural

# Below this, what a cut to a lower rank loses is rounding.
ROUNDING = 1e-6
_NAMED = 3


@dataclass(frozen=True)
class FittedFile:
    """An adapter file whose layers have the shapes and ranks of a data set.

    Attributes:
        path: of the file.
        matrices: matrix name → float32 [rows, cols].
        norms: layer → ‖ΔW‖_F.
        warnings: how the file differs from the data set, one line each.
    """

    path: str
    matrices: dict[str, np.ndarray]
    norms: dict[str, float]
    warnings: list[str] = field(default_factory=list)


class FileWeights:
    """Some files as the weights of one layer group: what extraction reads."""

    def __init__(self, matrices: Sequence[MatrixInfo], files: Sequence[FittedFile]):
        self.matrices = list(matrices)
        self.n_adapters = len(files)
        self._files = files

    def read(self, matrix: int, start: int, stop: int) -> np.ndarray:
        """Return files ``start`` to ``stop`` of one matrix: float32 [n, rows, cols]."""
        name = self.matrices[matrix].name
        return np.stack([file.matrices[name] for file in self._files[start:stop]])


def read_layout(layer_table: str | Path) -> dict[str, list[MatrixInfo]]:
    """Return layer group → its matrices, from a prepared data set's layer table."""
    names = ("column", "layer", "side", "rows", "cols")
    groups: dict[str, list[MatrixInfo]] = {}
    for row in read_table(layer_table, ["group", *names]).to_pylist():
        groups.setdefault(row["group"], []).append(MatrixInfo(*(row[name] for name in names)))
    return groups


def fit_file(adapter: AdapterFile, matrices: Iterable[MatrixInfo], known: Collection[str]) -> FittedFile:
    """Bring an adapter file into the layout of a data set.

    A layer of lower rank is padded with zeros, which changes no update; one of higher rank is cut down to its
    best approximation (Eckart & Young 1936); a layer that the file lacks was not trained: its update is 0.

    Args:
        adapter: the file.
        matrices: those that are wanted.
        known: all layers of the data set.

    Raises:
        LorascopeError: the file shares no layer with the data set, a layer is of another size, or a weight
            is NaN or infinite.
    """
    sides: dict[str, dict[str, MatrixInfo]] = {}
    for matrix in matrices:
        sides.setdefault(matrix.layer, {})[matrix.side] = matrix
    found: dict[str, np.ndarray] = {}
    norms: dict[str, float] = {}
    kept: list[float] = []
    for layer, own in sides.items():
        factors = _factors(adapter, layer, own[DOWN], own[UP])
        norms[layer] = float(factors.norm[0])
        found[own[DOWN].name], found[own[UP].name], share = _at_rank(factors, own[DOWN].rows)
        kept.append(share)
    return FittedFile(str(adapter.path), found, norms, _differences(adapter, list(sides), known, kept))


def _factors(adapter: AdapterFile, layer: str, down: MatrixInfo, up: MatrixInfo) -> LayerFactors:
    if layer not in adapter.shapes:
        return LayerFactors(
            np.zeros((1, down.rows, down.cols), np.float32), np.zeros((1, up.rows, up.cols), np.float32)
        )
    if (shape := adapter.shapes[layer][:2]) != (up.rows, down.cols):
        raise LorascopeError(
            f"{adapter.path}: layer {layer} is {shape[0]} × {shape[1]}, not {up.rows} × {down.cols}; "
            "the file is of another base model"
        )
    factors = adapter.layers[layer]
    if not (np.isfinite(factors.down).all() and np.isfinite(factors.up).all()):
        raise LorascopeError(f"{adapter.path}: layer {layer} has NaN or infinite weights; repair the file")
    return LayerFactors(factors.down[None], factors.up[None])


def _at_rank(factors: LayerFactors, rank: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return A, B at ``rank`` and the share of ‖ΔW‖² that is kept."""
    down = np.zeros((rank, factors.d_in), np.float32)
    up = np.zeros((factors.d_out, rank), np.float32)
    if factors.rank <= rank:
        down[: factors.rank], up[:, : factors.rank] = factors.down[0], factors.up[0]
        return down, up, 1.0
    count = min(rank, factors.S.shape[1])
    root = np.sqrt(factors.S[0, :count])
    down[:count], up[:, :count] = root[:, None] * factors.V[0, :, :count].T, factors.U[0, :, :count] * root
    return down, up, float((factors.unit_spectrum[0, :count] ** 2).sum())


def _differences(
    adapter: AdapterFile, layers: Sequence[str], known: Collection[str], kept: Sequence[float]
) -> list[str]:
    absent = [layer for layer in layers if layer not in adapter.shapes]
    if len(absent) == len(layers):
        raise LorascopeError(
            f"{adapter.path}: none of the study's {len(layers)} layers is in this file; "
            "the file is of another base model"
        )
    strange = [layer for layer in adapter.shapes if layer not in known]
    attention = [layer for layer in strange if attention_of(layer)]
    cut = [layer for layer, share in zip(layers, kept, strict=True) if share < 1 - ROUNDING]
    others = len(strange) - len(attention)
    found = [
        (absent, "layer", "of the study not in the file, taken for untrained"),
        (attention, "attention layer", "of the file unknown to the study, left out"),
        (cut, "layer", f"cut down to the study's rank, keeping at least {min(kept):.1%} of each update"),
    ]
    lines = [f"{plural(len(some), noun)} {words}: {_some(some)}" for some, noun, words in found if some]
    if others:
        lines.append(f"{plural(others, 'layer')} outside attn1 and attn2, left out")
    return lines


def _some(layers: Sequence[str]) -> str:
    return ", ".join(layers[:_NAMED]) + (", …" if len(layers) > _NAMED else "")
