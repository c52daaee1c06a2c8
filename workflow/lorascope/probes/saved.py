"""A trained probe in a file: all that turns features of new adapters into probabilities, without pickle.

Training writes none; :mod:`lorascope.study.keep` does, for the cells that are asked for. One safetensors file
a seed: arrays ``scaling/…`` and ``probe/…``, and in the header, as JSON under
``lorascope``, what the fields of :class:`SavedProbe` say.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.probes.registry import PROBES, load
from lorascope.probes.scaling import Scaling
from lorascope.probes.temperature import tempered
from lorascope.tensor_files import read_tensors, write_tensors

_SCALING, _PROBE = "scaling/", "probe/"
# Large float32 arrays, nearly all of a wide network, are stored in three bytes a number: sign, exponent and
# 15 bits of the fraction. That moves a weight by at most 2⁻¹⁶ of its size and saves a quarter of the disk.
_SHORT = "short/"
LARGE = 1 << 16


@dataclass(frozen=True)
class ProbeCard:
    """What a probe is, beside its numbers.

    Attributes:
        names: data set, layer set, representation and probe.
        seed: what its randomness started from.
        classes: in the order of the probabilities.
        columns: feature columns, in order.
        is_scaled: whether the probe sees standardised features.
        temperature: that its probabilities are at.
        chosen: hyper-parameters that the validation part chose.
        provenance: key of the cell, settings, code and versions.
    """

    names: dict[str, str]
    seed: int
    classes: list[str]
    columns: list[str]
    is_scaled: bool
    temperature: float
    chosen: dict[str, float] = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)


@dataclass(frozen=True)
class SavedProbe:
    """A trained probe.

    Attributes:
        card: what it is.
        scaling: mean and scale of the training part's features.
        state: arrays, as the probe's own module reads them.
    """

    card: ProbeCard
    scaling: Scaling
    state: dict[str, np.ndarray]

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities, float64 [n, classes], of raw features, float32 [n, columns].

        Raises:
            LorascopeError: the number of columns is not the one that the probe was trained on.
        """
        if features.ndim != 2 or features.shape[1] != len(self.card.columns):
            raise LorascopeError(
                f"features of shape {features.shape} where the probe was trained on "
                f"{len(self.card.columns)} columns; extract what the probe's columns name"
            )
        seen = self.scaling.apply(features) if self.card.is_scaled else features
        answers = load(self.card.names["probe"]).log_probabilities(self.state, self.card.columns, seen)
        return np.exp(tempered(answers, self.card.temperature))


def save_probe(path: str | Path, probe: SavedProbe) -> None:
    """Write a probe atomically."""
    arrays = {}
    for name, array in probe.state.items():
        is_large = array.dtype == np.float32 and array.size >= LARGE
        arrays[f"{_SHORT if is_large else _PROBE}{name}"] = shortened(array) if is_large else array
    arrays |= {f"{_SCALING}mean": probe.scaling.mean, f"{_SCALING}scale": probe.scaling.scale}
    write_tensors(path, arrays, asdict(probe.card))


def load_probe(path: str | Path) -> SavedProbe:
    """Read what :func:`save_probe` wrote.

    Raises:
        LorascopeError: the file is missing, damaged, or holds no probe that is known.
    """
    try:
        about, arrays = read_tensors(path)
    except DamagedFileError as error:
        raise LorascopeError(
            f"{path}: not a readable probe ({error.args[1]}); delete it and keep it again (lorascope keep)"
        ) from None
    try:
        card = ProbeCard(**(about or {}))
        scaling = Scaling(arrays[f"{_SCALING}mean"], arrays[f"{_SCALING}scale"])
    except (TypeError, KeyError):
        raise LorascopeError(f"{path}: not a saved probe; give a *.probe.safetensors of a study") from None
    if card.names.get("probe") not in PROBES:
        raise LorascopeError(f"{path}: probe '{card.names.get('probe')}' is not known; update lorascope")
    state = {name.removeprefix(_PROBE): array for name, array in arrays.items() if name.startswith(_PROBE)}
    state |= {
        name.removeprefix(_SHORT): lengthened(array)
        for name, array in arrays.items()
        if name.startswith(_SHORT)
    }
    return SavedProbe(card, scaling, state)


def shortened(array: np.ndarray) -> np.ndarray:
    """Return finite float32 numbers, rounded, as their three leading bytes: uint8 [..., 3]."""
    bits = np.ascontiguousarray(array).view(np.uint32) + np.uint32(1 << 7)
    return bits.astype("<u4")[..., None].view(np.uint8)[..., 1:].copy()


def lengthened(array: np.ndarray) -> np.ndarray:
    """Return the float32 numbers of :func:`shortened`."""
    padded = np.zeros((*array.shape[:-1], 4), np.uint8)
    padded[..., 1:] = array
    return padded.view("<u4")[..., 0].astype(np.uint32).view(np.float32)
