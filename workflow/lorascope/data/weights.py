"""Weights of one layer group: one flat .npy file, matrix by matrix, each [adapters, rows, cols]."""

import hashlib
import mmap
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.adapters.names import MatrixInfo
from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.files import atomic_path, read_table


class GroupWeights:
    """Read access to the weights of one layer group.

    Attributes:
        matrices: the group's matrices, in file order.
        n_adapters: number of adapters.
    """

    def __init__(self, path: str | Path, matrices: Sequence[MatrixInfo], n_adapters: int):
        self.path = Path(path)
        self.matrices = list(matrices)
        self.n_adapters = n_adapters
        try:
            mapped = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise LorascopeError(f"{path}: no such file") from None
        except (ValueError, OSError, EOFError) as error:
            raise DamagedFileError(path, f"truncated or damaged ({error})", self.path.parent) from None
        # Every view of a numpy.memmap is one too, and pays for it in each operation.
        self._pages, self._values = mapped.base, mapped.view(np.ndarray)
        expected = n_adapters * sum(matrix.size for matrix in matrices)
        if self._values.shape != (expected,) or self._values.dtype != np.float32:
            reason = f"holds {self._values.size} values where the layer table says {expected}"
            raise DamagedFileError(path, reason, self.path.parent)
        self._starts = _starts(matrices, n_adapters)

    @classmethod
    def open(cls, folder: str | Path, group: str) -> "GroupWeights":
        """Open a layer group of a prepared data set."""
        folder = Path(folder)
        matrices, n_adapters = read_group_matrices(folder / "layers.parquet", group)
        return cls(folder / "weights" / f"{group}.npy", matrices, n_adapters)

    def read(self, matrix: int, start: int, stop: int) -> np.ndarray:
        """Return a view of adapters ``start`` to ``stop`` of one matrix: float32 [n, rows, cols].

        Views stay valid, but only the latest is in memory for certain.
        """
        # Pages once read count as this process's memory until they are given back.
        self._pages.madvise(mmap.MADV_DONTNEED)
        info, origin = self.matrices[matrix], self._starts[matrix]
        flat = self._values[origin + start * info.size : origin + stop * info.size]
        return flat.reshape(stop - start, info.rows, info.cols)


def _starts(matrices: Sequence[MatrixInfo], n_adapters: int) -> list[int]:
    starts = [0]
    for matrix in matrices:
        starts.append(starts[-1] + matrix.size * n_adapters)
    return starts


class GroupWriter:
    """Write row batches of a layer group to its .npy file; the digest of each matrix comes for free.

    The file is matrix-major while batches come row by row, so each batch goes to its place by position.
    """

    def __init__(self, temp: Path, matrices: Sequence[MatrixInfo], n_adapters: int):
        self.matrices = list(matrices)
        self.rows = 0
        self._digests = {matrix.name: hashlib.blake2b(digest_size=16) for matrix in matrices}
        self._file = temp.open("wb")
        starts = _starts(matrices, n_adapters)
        header = {"descr": "<f4", "fortran_order": False, "shape": (starts[-1],)}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._base = self._file.tell()
        self._starts = dict(zip((matrix.name for matrix in matrices), starts, strict=False))

    def write(self, batch: dict[str, np.ndarray]) -> None:
        """Append a batch (matrix name → float32 [n, rows, cols])."""
        rows = 0
        for matrix in self.matrices:
            values = np.ascontiguousarray(batch[matrix.name], dtype="<f4")
            self._digests[matrix.name].update(values)
            self._file.seek(self._base + 4 * (self._starts[matrix.name] + self.rows * matrix.size))
            self._file.write(values)
            rows = len(values)
        self.rows += rows

    def close(self) -> dict[str, str]:
        """Finish the file; return the digest of each matrix by name."""
        self._file.close()
        return {name: digest.hexdigest() for name, digest in self._digests.items()}


class WeightsWriter:
    """Write all layer groups of a data set at once; nothing appears before :meth:`__exit__` succeeds."""

    def __init__(self, folder: Path, groups: dict[str, list[MatrixInfo]], n_adapters: int):
        self._folder, self._groups, self._n_adapters = folder, groups, n_adapters
        self._stack = ExitStack()
        self.digests: dict[str, str] = {}

    def __enter__(self) -> "WeightsWriter":
        self._writers = [
            GroupWriter(
                self._stack.enter_context(atomic_path(self._folder / f"{group}.npy")),
                matrices,
                self._n_adapters,
            )
            for group, matrices in self._groups.items()
        ]
        return self

    def write(self, batch: dict[str, np.ndarray]) -> None:
        """Append a batch to every group."""
        for writer in self._writers:
            writer.write(batch)

    def __exit__(self, *exception) -> None:
        for writer in self._writers:
            self.digests.update(writer.close())
        self._stack.__exit__(*exception)


def layer_table(groups: dict[str, list[MatrixInfo]], digests: dict[str, str], n_adapters: int) -> pa.Table:
    """Return the layer table: one row a matrix, in file order of the groups."""
    rows = [
        {
            "matrix": matrix.name,
            "column": matrix.column,
            "layer": matrix.layer,
            "side": matrix.side,
            "group": group,
            "rows": matrix.rows,
            "cols": matrix.cols,
            "adapters": n_adapters,
            "digest": digests[matrix.name],
        }
        for group, matrices in groups.items()
        for matrix in matrices
    ]
    return pa.Table.from_pylist(rows)


def read_group_matrices(path: str | Path, group: str) -> tuple[list[MatrixInfo], int]:
    """Return the matrices of one group and the number of adapters, from the layer table.

    Raises:
        LorascopeError: the table has no such group.
    """
    rows = [row for row in read_table(path).to_pylist() if row["group"] == group]
    if not rows:
        raise LorascopeError(f"{path}: no layer group '{group}'")
    names = ("column", "layer", "side", "rows", "cols")
    return [MatrixInfo(*(row[name] for name in names)) for row in rows], rows[0]["adapters"]
