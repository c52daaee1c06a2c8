"""Random weights in the shape of the published data sets (Stable Diffusion 1.5, rank 1, 128 matrices)."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from lorascope.adapters.architectures import published_matrices
from lorascope.adapters.names import MatrixInfo, attention_of
from lorascope.data.weights import GroupWeights
from lorascope.digests import running_digest
from lorascope.files import read_json, write_json

GROUPS = ("attn1", "attn2")
_ROWS_AT_ONCE = 4096


def matrices(group: str) -> list[MatrixInfo]:
    """Return the 64 matrices of one layer group."""
    return [matrix for matrix in published_matrices() if attention_of(matrix.layer) == group]


def write(folder: str | Path, n_adapters: int) -> None:
    """Write normal weights of standard deviation 0.01 as `lorascope prepare` lays them out, and digests."""
    rng = np.random.default_rng(0)
    for group in GROUPS:
        size = n_adapters * sum(matrix.size for matrix in matrices(group))
        header = {"descr": "<f4", "fortran_order": False, "shape": (size,)}
        with Path(folder, f"{group}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            digests = [_write_matrix(file, matrix, n_adapters, rng) for matrix in matrices(group)]
        write_json(_digests(folder, group), {"digests": digests})


def _write_matrix(file: BinaryIO, matrix: MatrixInfo, n_adapters: int, rng: np.random.Generator) -> str:
    digest = running_digest()
    for start in range(0, n_adapters, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, n_adapters - start)
        values = rng.standard_normal((rows, matrix.size), dtype=np.float32)
        values *= np.float32(0.01)
        file.write(values)
        digest.update(values)
    return digest.hexdigest()


def _digests(folder: str | Path, group: str) -> Path:
    return Path(folder, f"{group}.json")


def open_group(folder: str | Path, group: str, n_adapters: int, checked: bool = False) -> GroupWeights:
    """Open what :func:`write` wrote, with its digests if it is to be checked while it is read."""
    digests = read_json(_digests(folder, group))["digests"] if checked else None
    return GroupWeights(Path(folder, f"{group}.npy"), matrices(group), n_adapters, digests)
