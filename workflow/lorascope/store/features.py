"""What decides the content of a feature file, down to the bytes of its inputs."""

import hashlib
import json
from pathlib import Path

from lorascope.files import read_table
from lorascope.store.entry import Address
from lorascope.store.places import sha256_of

DTYPE = "float32"
_CONTENT_DIGITS = 16
_MATRIX_COLUMNS = ["matrix", "group", "rows", "cols", "adapters", "digest"]


def feature_inputs(data: str | Path, group: str, fit: str | Path | None) -> dict:
    """Return what the features of one layer group are computed from.

    Args:
        data: folder that `prepare` wrote; its name is the key of the data set.
        group: layer group.
        fit: what `fit` wrote, for a representation that is fitted.

    Returns:
        ``data``: the key; ``weights``: digest of names, shapes and values of the group's matrices; ``fit``:
        digest of the fit, or None; ``dtype``.

    Raises:
        LorascopeError: the layer table is missing or damaged.
    """
    rows = read_table(Path(data) / "layers.parquet", _MATRIX_COLUMNS).to_pylist()
    weights = [[row[name] for name in _MATRIX_COLUMNS] for row in rows if row["group"] == group]
    return {
        "data": Path(data).name,
        "weights": _digest(weights),
        "fit": _file_digest(fit) if fit else None,
        "dtype": DTYPE,
    }


def feature_address(representation: str, key: str, group: str, inputs: dict) -> Address:
    """Return where features lie in a store.

    Args:
        representation: its name.
        key: its content address in the study: settings and code.
        group: layer group.
        inputs: see :func:`feature_inputs`.
    """
    content = _digest([representation, key, group, inputs["weights"], inputs["fit"], inputs["dtype"]])
    return Address(representation, key, group, content[:_CONTENT_DIGITS])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()


def _file_digest(path: str | Path) -> str:
    with Path(path).open("rb") as opened:
        return sha256_of(opened)
