"""Arrays in a safetensors file, with a digest of all of them and what there is to say about them as JSON."""

import json
import os
from collections.abc import Mapping

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lorascope.digests import arrays_digest
from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.files import METADATA_KEY, atomic_path

_ENTRY = METADATA_KEY.decode()
_DIGEST = "file_digest"


def write_tensors(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], about: dict) -> None:
    """Write arrays atomically; ``about`` goes into the header as JSON under ``lorascope``.

    Raises:
        OSError: the file cannot be written.
    """
    # safetensors writes the memory as it lies.
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    about = json.loads(json.dumps(about))  # as it will be read: keys become text
    signed = {**about, _DIGEST: arrays_digest(arrays, _canonical(about))}
    with atomic_path(path) as temp:
        try:
            # One metadata entry only: safetensors writes several in an order that changes from run to run.
            save_file(arrays, temp, metadata={_ENTRY: _canonical(signed)})
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from None


def read_tensors(path: str | os.PathLike) -> tuple[dict | None, dict[str, np.ndarray]]:
    """Read what :func:`write_tensors` wrote.

    Returns:
        ``about``, None where a file of others has none, and the arrays by name.

    Raises:
        DamagedFileError: the file is truncated, or its digest does not fit.
        LorascopeError: the file is missing or cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            stored = (file.metadata() or {}).get(_ENTRY)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no dict
        about = json.loads(stored) if stored else None
    except FileNotFoundError:
        raise LorascopeError(f"{path}: no such file") from None
    except (SafetensorError, ValueError) as error:
        raise DamagedFileError(path, f"not a readable safetensors file ({error})") from None
    except OSError as error:
        raise LorascopeError(f"{path}: not readable ({error}); see to it and run again") from None
    digest = about.pop(_DIGEST, None) if about else None
    # The shipped base and files of older versions have none.
    if digest is not None and digest != arrays_digest(arrays, _canonical(about)):
        raise DamagedFileError(path, "its content is not what its digest says")
    return about, arrays


def _canonical(about: dict) -> str:
    return json.dumps(about, sort_keys=True)
