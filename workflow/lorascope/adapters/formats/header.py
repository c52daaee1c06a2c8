"""The header of a safetensors file, and single tensors read on demand, without torch."""

import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open

from lorascope.adapters.formats.text import plain
from lorascope.errors import LorascopeError

PICKLE_SUFFIXES = (".bin", ".ckpt", ".pkl", ".pickle", ".pt", ".pth")
MAX_HEADER_BYTES = 8 << 20
"""Real headers take some hundred kilobytes, with the longest training metadata a few megabytes."""
MAX_TENSORS = 20_000
MAX_NAME = 300

_LENGTH_BYTES = 8
_CHUNK = 1 << 20
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U8": "u1", "BF16": "<u2", "F8_E4M3": "u1", "F8_E5M2": "u1",
}  # fmt: skip


def _bfloat16(values: np.ndarray) -> np.ndarray:
    """The upper half of a float32."""
    return (values.astype("<u4") << 16).view("<f4")


def _float8(mantissa_bits: int, largest: int) -> np.ndarray:
    """Values of the 256 numbers of an 8-bit float (Micikevicius et al. 2022, FP8 formats for deep learning).

    Args:
        mantissa_bits: 3 (E4M3, without infinities) or 2 (E5M2).
        largest: bits of the largest finite number.
    """
    bits = np.arange(256)
    exponent, mantissa = (bits & 0x7F) >> mantissa_bits, bits & ((1 << mantissa_bits) - 1)
    bias = (1 << (6 - mantissa_bits)) - 1
    fraction = mantissa / (1 << mantissa_bits)
    values = np.where(exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent - bias))
    beyond = np.where((mantissa == 0) & (mantissa_bits == 2), np.inf, np.nan)
    values = np.where((bits & 0x7F) > largest, beyond, values)
    return np.where(bits & 0x80, -values, values).astype(np.float32)


_FLOAT8 = {"F8_E4M3": _float8(3, 0x7E), "F8_E5M2": _float8(2, 0x7B)}


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies: number type as safetensors spells it, shape, first byte in the file, bytes."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    bytes: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says about itself before any weight is read.

    Attributes:
        path: the file.
        tensors: name → type, shape and place.
        metadata: the free text entries, e.g. kohya's ``ss_*``.
        size: bytes of the file.
    """

    path: Path
    tensors: Mapping[str, TensorInfo] = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)
    size: int

    def read(self, name: str, rows: Sequence[tuple[int, int]] | None = None) -> np.ndarray:
        """Read one tensor as float32; with ``rows``, only these runs of its rows, one after the other.

        Raises:
            LorascopeError: a number type that no adapter is trained in, or the file has shrunk.
        """
        info = self.tensors[name]
        dtype = _NUMPY.get(info.dtype)
        if dtype is None:
            raise LorascopeError(f"{self.path}: {name}: number type {info.dtype} is not supported; use F16")
        shape = info.shape if rows is None else (sum(stop - start for start, stop in rows), *info.shape[1:])
        width = prod(info.shape[1:])
        values = np.empty(prod(shape), np.float32)
        place = 0
        # Not memory-mapped: a file that another program cuts meanwhile would kill the process.
        try:
            with self.path.open("rb", buffering=0) as file, np.errstate(over="ignore"):
                for start, stop in [(0, values.size)] if rows is None else rows:
                    first, last = (start, stop) if rows is None else (start * width, stop * width)
                    file.seek(info.start + first * np.dtype(dtype).itemsize)
                    self._fill(file, name, dtype, values[place : place + last - first])
                    place += last - first
        except OSError as error:
            raise LorascopeError(f"{self.path}: cannot be read ({error.strerror or error})") from None
        return values.reshape(shape)

    def _fill(self, file: BinaryIO, name: str, dtype: str, values: np.ndarray) -> None:
        for start in range(0, values.size, _CHUNK):
            block = values[start : start + _CHUNK]
            read = np.fromfile(file, dtype, count=block.size)
            if read.size < block.size:
                raise LorascopeError(f"{self.path}: {name}: the file ends early; was it changed?")
            stored = self.tensors[name].dtype
            block[:] = (
                _FLOAT8[stored][read] if stored in _FLOAT8 else _bfloat16(read) if stored == "BF16" else read
            )


def read_header(path: str | os.PathLike) -> Header:
    """Read names, types, shapes and metadata of a safetensors file; the weights stay on disk.

    Raises:
        LorascopeError: no such file, a pickle (never opened), or not a whole, well-formed safetensors file.
    """
    path = Path(path)
    size = _check_file(path)
    text = _header_text(path, size)
    # The library judges the structure first: what passes is a flat table of tensors that tile the file.
    try:
        with safe_open(path, framework="np"):
            pass
        entries = json.loads(text)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise _malformed(path, plain(error)) from None
    metadata = entries.pop("__metadata__", None) or {}
    _check_names(path, entries)
    data_start = _LENGTH_BYTES + len(text)
    tensors = {
        name: TensorInfo(entry["dtype"], tuple(entry["shape"]), data_start + start, stop - start)
        for name, entry in entries.items()
        for start, stop in [entry["data_offsets"]]
    }
    return Header(path, tensors, metadata, size)


def _header_text(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if not 2 <= length <= size - _LENGTH_BYTES:
                raise _malformed(path, "its header does not fit into the file")
            if length > MAX_HEADER_BYTES:
                raise _malformed(path, f"a header of {length} bytes; at most {MAX_HEADER_BYTES} are read")
            text = file.read(length)
    except OSError as error:
        raise LorascopeError(f"{path}: cannot be read ({error.strerror or error})") from None
    if text.count(b'"data_offsets"') > MAX_TENSORS:
        raise _malformed(path, f"more than {MAX_TENSORS} tensors")
    return text


def _check_names(path: Path, names: Iterable[str]) -> None:
    """Layer names become names of files and lines on a terminal: none may leave a folder or move a cursor."""
    for name in names:
        if not name.isprintable() or len(name) > MAX_NAME or "/" in name or "\\" in name or ".." in name:
            raise LorascopeError(f"{path}: {name[:60]!a} is no name of a tensor in an adapter")


def _check_file(path: Path) -> int:
    """Return the size of a regular file with a fitting name."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise LorascopeError(
            f"{path}: a pickle, which can run any program when opened; convert it to .safetensors elsewhere"
        )
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "no such file" if missing else f"cannot be opened ({plain(error)})"
        raise LorascopeError(f"{path}: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        raise LorascopeError(f"{path}: not a file; expected .safetensors")
    return status.st_size


def _malformed(path: Path, reason: str) -> LorascopeError:
    return LorascopeError(f"{path}: not a whole safetensors file ({reason}); fetch it again")
