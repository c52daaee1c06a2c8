"""Random weights in the shape of the published data sets (Stable Diffusion 1.5, rank 1, 128 matrices)."""

from pathlib import Path

import numpy as np

from lorascope.adapters.architectures import published_matrices
from lorascope.adapters.names import MatrixInfo, attention_of
from lorascope.data.weights import GroupWeights

GROUPS = ("attn1", "attn2")
_ROWS_AT_ONCE = 4096


def matrices(group: str) -> list[MatrixInfo]:
    """Return the 64 matrices of one layer group."""
    return [matrix for matrix in published_matrices() if attention_of(matrix.layer) == group]


def write(folder: str | Path, n_adapters: int) -> None:
    """Write normal weights of standard deviation 0.01 as `lorascope prepare` lays them out."""
    rng = np.random.default_rng(0)
    for group in GROUPS:
        size = n_adapters * sum(matrix.size for matrix in matrices(group))
        header = {"descr": "<f4", "fortran_order": False, "shape": (size,)}
        with Path(folder, f"{group}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for matrix in matrices(group):
                for start in range(0, n_adapters, _ROWS_AT_ONCE):
                    rows = min(_ROWS_AT_ONCE, n_adapters - start)
                    values = rng.standard_normal((rows, matrix.size), dtype=np.float32)
                    file.write(np.multiply(values, np.float32(0.01), out=values))


def open_group(folder: str | Path, group: str, n_adapters: int) -> GroupWeights:
    """Open what :func:`write` wrote."""
    return GroupWeights(Path(folder, f"{group}.npy"), matrices(group), n_adapters)
