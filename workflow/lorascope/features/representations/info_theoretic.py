"""Entropy of a histogram of the entries."""

import math
from functools import lru_cache

import numpy as np

from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import as_columns
from lorascope.features.namespace import Array, namespace_of

BINS = 50
NAMES = ("histogram_entropy", "histogram_entropy_normalised")


def compute(batch: MatrixBatch) -> Array:
    """Return the entropy (nats) of a 50-bin histogram over [min, max], and the same over ln 50.

    Bins are closed on the left, the last one on both sides, as in numpy.histogram. Equal entries share a
    bin: entropy 0.

    Returns:
        float32 [n_adapters, 2].
    """
    counts = batch.xp.diff(_count_below(batch.sorted_entries, _edges(batch)))
    entropy = batch.on_device(_surprises(batch.size))[counts].sum(axis=-1)
    return as_columns(entropy, entropy / math.log(BINS))


def _edges(batch: MatrixBatch) -> Array:
    """Return the 51 edges of the bins, float64 [n, 51], the outer two at ∓∞."""
    minimum = batch.xp.asarray(batch.minimum[:, None], dtype=batch.xp.float64)
    step = (batch.maximum[:, None] - minimum) / BINS
    edges = minimum + batch.on_device(np.arange(BINS + 1)) * step
    edges[:, 0], edges[:, -1] = -np.inf, np.inf
    return edges


def _count_below(sorted_entries: Array, edges: Array) -> Array:
    """Return how many entries of its row are below each edge, int64 [n, edges]."""
    if not isinstance(sorted_entries, np.ndarray):
        xp = namespace_of(sorted_entries)
        return xp.searchsorted(xp.asarray(sorted_entries, dtype=xp.float64), edges)
    from lorascope.features.histogram_loop import count_below

    counts = np.empty(edges.shape, np.int64)
    count_below(sorted_entries, edges, counts)
    return counts


@lru_cache(maxsize=64)
def _surprises(size: int) -> np.ndarray:
    """Return −p ln p for p = 0/size, 1/size, …, 1: counts are integers, so logarithms are looked up."""
    share = np.arange(1, size + 1) / size
    return np.concatenate([[0.0], -share * np.log(share)])
