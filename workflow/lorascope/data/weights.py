"""Weights of one layer group: one flat .npy file, matrix by matrix, each [adapters, rows, cols]."""

import mmap
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.adapters.names import MatrixInfo
from lorascope.data.inputs import check_inputs
from lorascope.digests import running_digest
from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.files import atomic_path, content_is_wrong, read_table


class GroupWeights:
    """Read access to the weights of one layer group.

    Attributes:
        matrices: the group's matrices, in file order.
        n_adapters: number of adapters.
        digests: of each matrix over all adapters; None to take the values as they are.
    """

    def __init__(
        self,
        path: str | Path,
        matrices: Sequence[MatrixInfo],
        n_adapters: int,
        digests: Sequence[str] | None = None,
    ):
        self.path = Path(path)
        self.matrices = list(matrices)
        self.n_adapters = n_adapters
        self.digests = digests
        self._read_so_far: dict[int, _Reading] = {}
        try:
            mapped = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise LorascopeError(f"{path}: no such file") from None
        except (ValueError, OSError, EOFError) as error:
            if not content_is_wrong(error):
                raise
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
        """Open a layer group of a prepared data set.

        Raises:
            LorascopeError: the files that it was made of have changed in a way that no key shows.
        """
        folder = Path(folder)
        check_inputs(folder)
        matrices, n_adapters, digests = read_group_matrices(folder / "layers.parquet", group)
        return cls(folder / "weights" / f"{group}.npy", matrices, n_adapters, digests)

    def read(self, matrix: int, start: int, stop: int) -> np.ndarray:
        """Return a view of adapters ``start`` to ``stop`` of one matrix: float32 [n, rows, cols].

        Views stay valid, but only the latest is in memory for certain.

        Raises:
            DamagedFileError: the last rows of a matrix that was read from its first on, in any number of
                calls, and its digest does not fit.
        """
        # Pages once read count as this process's memory until they are given back.
        self._pages.madvise(mmap.MADV_DONTNEED)
        info, origin = self.matrices[matrix], self._starts[matrix]
        flat = self._values[origin + start * info.size : origin + stop * info.size]
        if self.digests is not None:
            self._check(matrix, flat, start, stop)
        return flat.reshape(stop - start, info.rows, info.cols)

    def _check(self, matrix: int, flat: np.ndarray, start: int, stop: int) -> None:
        """Take rows into the matrix's digest as they pass, which costs no second reading of the file."""
        if start == 0:
            self._read_so_far[matrix] = _Reading()
        reading = self._read_so_far.get(matrix)
        if reading is None or reading.rows != start:
            return
        reading.rows = stop
        reading.digest.update(flat)
        if stop == self.n_adapters and reading.digest.hexdigest() != self.digests[matrix]:
            reason = f"the values of {self.matrices[matrix].name} are not what the layer table's digest says"
            raise DamagedFileError(self.path, reason, self.path.parent)


class _Reading:
    """How far a matrix was read, and the digest up to there."""

    def __init__(self):
        self.rows = 0
        self.digest = running_digest()


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
        self._digests = {matrix.name: running_digest() for matrix in matrices}
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


def read_group_matrices(path: str | Path, group: str) -> tuple[list[MatrixInfo], int, list[str]]:
    """Return the matrices of one group, the number of adapters, and the matrices' digests.

    Raises:
        LorascopeError: the table has no such group.
    """
    rows = [row for row in read_table(path).to_pylist() if row["group"] == group]
    if not rows:
        raise LorascopeError(f"{path}: no layer group '{group}'")
    names = ("column", "layer", "side", "rows", "cols")
    matrices = [MatrixInfo(*(row[name] for name in names)) for row in rows]
    return matrices, rows[0]["adapters"], [row["digest"] for row in rows]
