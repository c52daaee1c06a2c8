"""Leading principal components of the flattened factors: the field's second baseline."""

import numpy as np

from lorascope.errors import LorascopeError
from lorascope.features.columns import as_columns, ratio
from lorascope.features.delta_axes import with_fixed_signs
from lorascope.features.layer_factors import LayerFactors, flattened

FITTED = True
INVARIANT_TO = ("float16", "int8")
COUNT = 16
# Sixteen components need no more, and the entries of all adapters would not fit into memory.
FIT_ROWS = 1024
_ROUNDING = 1e-12


class Fitter:
    """Principal components of the adapters seen; keeps their entries, so that ``FIT_ROWS`` bounds memory."""

    def __init__(self, d_out: int, d_in: int, rank: int):
        self._entries: list[np.ndarray] = []

    def update(self, factors: LayerFactors) -> None:
        """Add adapters."""
        self._entries.append(np.hstack(flattened(factors)))

    def finish(self) -> dict[str, np.ndarray]:
        """Return ``mean`` [entries] and ``axes`` [entries, min(16, adapters − 1, entries)], float64.

        Axes are divided by the spread √(total variance), so that scores of all layers are alike in size; an
        axis without variance is 0.
        """
        entries = np.concatenate(self._entries).astype(np.float64)
        mean = entries.mean(axis=0)
        deviations = entries - mean
        # Of the two Gram matrices the one between adapters, which does not grow with the rank.
        values, vectors = np.linalg.eigh(deviations @ deviations.T)
        count = min(COUNT, len(entries) - 1, entries.shape[1])
        values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
        total = np.vecdot(deviations, deviations).sum()
        scales = np.sqrt(np.where(values > _ROUNDING * total, values, np.inf))
        axes = with_fixed_signs(deviations.T @ vectors / scales)
        return {"mean": mean, "axes": ratio(axes, np.sqrt(total / len(entries)))}


def names(d_out: int, d_in: int, rank: int, fitted: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Return ``component_i`` for each axis of the fit."""
    return tuple(f"component_{i}" for i in range(1, fitted["axes"].shape[1] + 1))


def compute(factors: LayerFactors, fitted: dict[str, np.ndarray]) -> np.ndarray:
    """Return the scores on the principal axes, float32 [n, components].

    Raises:
        LorascopeError: the fit is of adapters of another rank.
    """
    entries = np.hstack(flattened(factors))
    if entries.shape[1] != len(fitted["mean"]):
        raise LorascopeError(
            f"pca: fitted to {len(fitted['mean'])} entries a layer, not {entries.shape[1]}; "
            "fit it to adapters of this rank"
        )
    return as_columns((entries - fitted["mean"]) @ fitted["axes"])
