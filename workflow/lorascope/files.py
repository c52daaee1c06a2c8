"""Files that are either whole or absent: every write goes to a temp file first."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lorascope.digests import digest_of
from lorascope.errors import DamagedFileError, LorascopeError, is_out_of_memory

METADATA_KEY = b"lorascope"
TEMP_SUFFIX = ".tmp"
# What pyarrow raises for a file that it cannot read, whatever is wrong with it.
PARQUET_ERRORS = (pa.ArrowException, UnicodeDecodeError, OSError)
_SCHEMA_DIGEST = b"lorascope.schema_digest"
_DIGEST = "file_digest"


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temp path in the folder of ``path``; on success fsync it and move it there.

    On any exception the temp file is removed and ``path`` stays as it was. Until then this process holds a
    lock on the temp file, so that :func:`lorascope.leftovers.sweep` can tell it from those of killed ones.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temp = _locked_temp(target)
    try:
        yield temp
        temp.chmod(0o666 & ~_umask())
        os.fsync(handle)
        temp.replace(target)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _locked_temp(target: Path) -> tuple[int, Path]:
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=TEMP_SUFFIX, dir=target.parent)
        # Some network file systems have no locks: there nothing is swept either.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Swept between its creation and its lock: another one.
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with atomic_path(path) as temp:
        temp.write_bytes(content)


def write_json(path: str | os.PathLike, value: dict, signed: bool = True) -> None:
    """Write a map as indented JSON; NaN and infinities are refused (they are not JSON).

    Args:
        signed: add a digest, which :func:`read_json` checks and takes off; not for files that others read.
    """
    if signed:
        value = {**value, _DIGEST: _json_digest(value)}
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def _json_digest(value: dict) -> str:
    as_read = json.loads(json.dumps(value))  # tuples become lists, keys become text
    return digest_of(json.dumps(as_read, sort_keys=True).encode())


def read_json(path: str | os.PathLike) -> dict:
    """Read a JSON object.

    Raises:
        DamagedFileError: the file holds no JSON object, or its digest does not fit.
        LorascopeError: the file is missing.
    """
    try:
        value = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise LorascopeError(f"{path}: no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DamagedFileError(path, f"not a JSON file ({error})") from None
    if not isinstance(value, dict):
        raise DamagedFileError(path, "not a JSON object")
    digest = value.pop(_DIGEST, None)
    if digest is not None and digest != _json_digest(value):
        raise DamagedFileError(path, "its content is not what its digest says")
    return value


def with_metadata(schema: pa.Schema, metadata: dict) -> pa.Schema:
    """Return ``schema`` with ``metadata`` stored as JSON beside what is there, and a digest of the schema."""
    stored = {**(schema.metadata or {}), METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()}
    return schema.with_metadata({**stored, _SCHEMA_DIGEST: _schema_digest(schema, stored)})


def check_parquet(path: str | os.PathLike, file: pq.ParquetFile) -> None:
    """Check what parquet's own checksums leave out: names, metadata, and how many rows there are.

    Raises:
        DamagedFileError: the file is not what was written.
    """
    about = file.metadata
    rows = sum(about.row_group(group).num_rows for group in range(about.num_row_groups))
    if rows != about.num_rows:
        raise DamagedFileError(path, f"holds {rows} rows where its footer says {about.num_rows}")
    _check_schema(path, file.schema_arrow)


def _check_schema(path: str | os.PathLike, schema: pa.Schema) -> None:
    stored = schema.metadata or {}
    digest = stored.get(_SCHEMA_DIGEST)
    if digest is not None and digest != _schema_digest(schema, stored):
        raise DamagedFileError(path, "its schema is not what its digest says")


def _schema_digest(schema: pa.Schema, stored: dict[bytes, bytes]) -> bytes:
    # The id and not the whole type: parquet gives the inside of a list another name.
    fields = "\n".join(f"{field.name} {field.type.id} {field.nullable}" for field in schema)
    return digest_of(fields.encode(), stored.get(METADATA_KEY, b"")).encode()


def write_table(path: str | os.PathLike, table: pa.Table, metadata: dict | None = None) -> None:
    """Write ``table`` as parquet; ``metadata`` (key, settings, versions) goes into the file's schema."""
    signed = with_metadata(table.schema, {} if metadata is None else metadata)
    table = table.replace_schema_metadata(signed.metadata)
    with atomic_path(path) as temp:
        pq.write_table(table, temp, write_page_checksum=True)


def read_table(path: str | os.PathLike, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file.

    Raises:
        DamagedFileError: the file is truncated, or a page of it is not what its checksum says.
        LorascopeError: the file is missing or lacks one of ``columns``.
    """
    if columns is not None and (absent := set(columns) - set(_read_schema(path).names)):
        raise LorascopeError(f"{path}: lacks columns: {', '.join(sorted(absent))}")
    # Not pq.read_table: it would import pandas, and take a folder named a=b above the file for a column.
    with parquet_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        check_parquet(path, file)
        return file.read(columns=columns)


def read_metadata(path: str | os.PathLike) -> dict:
    """Return what :func:`write_table` stored as ``metadata``; empty when there is none.

    Raises:
        LorascopeError: the file is missing or truncated.
    """
    stored = (_read_schema(path).metadata or {}).get(METADATA_KEY)
    return json.loads(stored) if stored else {}


def _read_schema(path: str | os.PathLike) -> pa.Schema:
    with parquet_errors(path):
        schema = pq.read_schema(path)
    _check_schema(path, schema)
    return schema


@contextmanager
def parquet_errors(path: str | os.PathLike, advice: str | None = None) -> Iterator[None]:
    """Turn what pyarrow raises for a missing or damaged file into one line.

    Args:
        path: the file.
        advice: what to do about a file that is not ours; None for one of ours, which can be made again.
    """
    try:
        yield
    except FileNotFoundError:
        raise LorascopeError(f"{path}: no such file") from None
    except PARQUET_ERRORS as error:
        if is_out_of_memory(error):
            raise MemoryError(str(error)) from None
        reason = f"not a readable parquet file ({str(error).splitlines()[0]})"
        if advice is None and content_is_wrong(error):
            raise DamagedFileError(path, reason) from None
        raise LorascopeError(f"{path}: {reason}; {advice or 'see to it and run again'}") from None


def content_is_wrong(error: Exception) -> bool:
    """Return whether a reader disliked what it read; otherwise the machine could not read it (an errno)."""
    return not is_out_of_memory(error) and getattr(error, "errno", None) is None
