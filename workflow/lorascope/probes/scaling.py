"""Standardisation with the training part's statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# A float32 column whose spread is rounding noise of its level carries no information.
CONSTANT_SPREAD = 1e-6
COLUMNS_AT_ONCE = 512


@dataclass(frozen=True)
class Scaling:
    """Mean and scale of each feature, float64 [features]; scale 0 marks a constant feature."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, layers: Sequence[str] | None = None) -> "Scaling":
        """Measure mean and standard deviation (n) of the rows of ``features`` [n, features].

        Args:
            layers: the layer of each feature, where the features of a layer are to keep their proportions
                and share one scale, the root of their mean variance.
        """
        mean = features.mean(axis=0, dtype=np.float64)
        scale = np.empty_like(mean)
        for start in range(0, features.shape[1], COLUMNS_AT_ONCE):
            part = slice(start, start + COLUMNS_AT_ONCE)
            scale[part] = np.sqrt(np.square(features[:, part] - mean[part]).mean(axis=0))
        scale[scale <= CONSTANT_SPREAD * np.abs(mean)] = 0
        return cls(mean, scale if layers is None else _shared(scale, layers))

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return the standardised features, float32; constant features become 0."""
        inverse = np.divide(1, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)
        scaled = np.empty(features.shape, np.float32)
        for start in range(0, features.shape[1], COLUMNS_AT_ONCE):
            part = slice(start, start + COLUMNS_AT_ONCE)
            scaled[:, part] = (features[:, part] - self.mean[part]) * inverse[part]
        return scaled


def _shared(scale: np.ndarray, layers: Sequence[str]) -> np.ndarray:
    owner = np.unique(layers, return_inverse=True)[1]
    live = scale > 0
    variance = np.bincount(owner, scale**2) / np.maximum(np.bincount(owner, live), 1)
    return np.where(live, np.sqrt(variance)[owner], 0.0)
