"""Which files of a data set on the hub are needed, and its columns, from the end of one file."""

import pyarrow as pa
import pyarrow.parquet as pq

from lorascope.adapters.names import MatrixInfo, check_matrices, parse_matrix_name
from lorascope.data.hub.client import HubFile, read_range
from lorascope.data.sources.arrow import hf_features, matrix_columns, of_split
from lorascope.errors import LorascopeError

PARQUET = ".parquet"
# As a rule a footer is shorter; one request does.
TAIL_BYTES = 1 << 18
_MAGIC, _ENDING = b"PAR1", 8
_NOT_DATA = (".gitattributes", ".gitignore")


def wanted_files(files: tuple[HubFile, ...], split: str | None, where: str) -> tuple[HubFile, ...]:
    """Return the files to download: the parquet files of a split, or all files where no split is named.

    Raises:
        LorascopeError: there are none.
    """
    if split is None:
        found = [file for file in files if file.path not in _NOT_DATA]
    else:
        names = set(of_split([file.path for file in files if file.path.endswith(PARQUET)], split, where))
        found = [file for file in files if file.path in names]
    if not found:
        what = "files" if split is None else f"parquet files of split '{split}'"
        raise LorascopeError(f"{where}: no {what} on the hub; check `path` and `revision`")
    return tuple(sorted(found))


def look_at_columns(
    path: str, commit: str, files: tuple[HubFile, ...], has_weights: bool
) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Return plain columns → type, and columns of weights → shape, of a data set's first parquet file.

    Args:
        path: name of the data set.
        commit: its commit.
        files: its files.
        has_weights: whether it must hold LoRA matrices; images need not even be in parquet files.

    Raises:
        LorascopeError: no LoRA matrices, other layers than known, sides that do not fit, no parquet file.
    """
    first = next((file for file in files if file.path.endswith(PARQUET)), None)
    if first is None:
        return {}, {}
    schema = read_schema(path, commit, first)
    if not has_weights:
        return {field.name: str(field.type) for field in schema}, {}
    matrices = matrix_columns(schema, path)
    features = hf_features(schema)
    shapes = {name: list(features.get(name, {}).get("shape", [])) for name in matrices}
    if all(len(shape) == 2 for shape in shapes.values()):
        check_matrices([_info(name, shape) for name, shape in shapes.items()], path)
    plain = {
        field.name: str(field.type)
        for field in schema
        if field.name not in matrices and not pa.types.is_nested(field.type)
    }
    return plain, shapes


def _info(name: str, shape: list[int]) -> MatrixInfo:
    layer, side = parse_matrix_name(name)
    return MatrixInfo(name, layer, side, *shape)


def read_schema(path: str, commit: str, file: HubFile) -> pa.Schema:
    """Read the schema of a parquet file on the hub; no more of it than its footer is fetched.

    Raises:
        LorascopeError: it is not a parquet file, or the hub cannot be reached.
    """
    tail = read_range(path, commit, file.path, max(0, file.size - TAIL_BYTES), file.size)
    length = int.from_bytes(tail[-_ENDING:-4], "little") + _ENDING
    if tail.endswith(_MAGIC) and len(tail) < length <= file.size:
        tail = read_range(path, commit, file.path, file.size - length, file.size)
    try:
        return pq.read_schema(pa.BufferReader(tail))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise LorascopeError(f"{path}: {file.path} is not a readable parquet file ({reason})") from None
