"""Files that are either whole or absent: every write goes to a temp file first."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lorascope.errors import DamagedFileError, LorascopeError

METADATA_KEY = b"lorascope"
_MARK = ".is-damaged"
TEMP_SUFFIX = ".tmp"


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temp path in the folder of ``path``; on success fsync it and move it there.

    On any exception the temp file is removed and ``path`` stays as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=TEMP_SUFFIX, dir=target.parent)
    os.close(handle)
    temp = Path(name)
    try:
        yield temp
        temp.chmod(0o666 & ~_umask())
        with temp.open("rb") as written:
            os.fsync(written.fileno())
        temp.replace(target)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with atomic_path(path) as temp:
        temp.write_bytes(content)


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write ``value`` as indented JSON; NaN and infinities are refused (they are not JSON)."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: str | os.PathLike) -> dict:
    """Read a JSON object.

    Raises:
        LorascopeError: the file is missing or holds no JSON object.
    """
    try:
        value = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise LorascopeError(f"{path}: no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LorascopeError(f"{path}: not a JSON file ({error}); delete it and run again") from None
    if not isinstance(value, dict):
        raise LorascopeError(f"{path}: not a JSON object; delete it and run again")
    return value


def with_metadata(schema: pa.Schema, metadata: dict) -> pa.Schema:
    """Return ``schema`` with ``metadata`` stored as JSON beside what is there."""
    stored = {**(schema.metadata or {}), METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()}
    return schema.with_metadata(stored)


def write_table(path: str | os.PathLike, table: pa.Table, metadata: dict | None = None) -> None:
    """Write ``table`` as parquet; ``metadata`` (key, settings, versions) goes into the file's schema."""
    if metadata is not None:
        table = table.replace_schema_metadata(with_metadata(table.schema, metadata).metadata)
    with atomic_path(path) as temp:
        pq.write_table(table, temp, write_page_checksum=True)


def read_table(path: str | os.PathLike, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file.

    Raises:
        DamagedFileError: the file is truncated, or a page of it is not what its checksum says.
        LorascopeError: the file is missing or lacks one of ``columns``.
    """
    if columns is not None and (absent := set(columns) - set(_read_schema(path).names)):
        raise LorascopeError(f"{path}: column(s) missing: {', '.join(sorted(absent))}")
    # Not pq.read_table: it would import pandas, and take a folder named a=b above the file for a column.
    with parquet_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
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
        return pq.read_schema(path)


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
    except (pa.ArrowInvalid, OSError) as error:
        reason = f"not a readable parquet file ({str(error).splitlines()[0]})"
        if advice is None and content_is_wrong(error):
            raise DamagedFileError(path, reason) from None
        raise LorascopeError(f"{path}: {reason}; {advice or 'see to it and run again'}") from None


def content_is_wrong(error: Exception) -> bool:
    """Return whether pyarrow disliked what it read; otherwise the system could not read it (an errno)."""
    return getattr(error, "errno", None) is None


def mark_damaged(path: Path) -> None:
    """Leave a mark beside a damaged file or folder: see :func:`set_aside_marked`."""
    write_bytes(path.with_name(path.name + _MARK), b"")


def set_aside_marked(folder: str | os.PathLike) -> list[Path]:
    """Rename what is marked as damaged below ``folder``, so that the next run makes it again.

    Not at once when the damage is found: other jobs of a run may wait for the file by its name, and would
    then end the run instead of failing one by one.

    Returns:
        Where the damaged files and folders are now.
    """
    marks = sorted(Path(folder).rglob(f"*{_MARK}"))
    units = [mark.with_name(mark.name.removesuffix(_MARK)) for mark in marks]
    moved = [_set_aside(unit) for unit in units if unit.exists()]
    for mark in marks:
        mark.unlink()
    return moved


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged")
    if aside.is_dir():
        shutil.rmtree(aside)
    return path.replace(aside)
