"""Entropy of a histogram of the entries."""

from functools import lru_cache

import numpy as np

from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import as_columns

BINS = 50
NAMES = ("histogram_entropy", "histogram_entropy_normalised")


def compute(batch: MatrixBatch) -> np.ndarray:
    """Return the entropy (nats) of a 50-bin histogram over [min, max], and the same over ln 50.

    Bins are closed on the left, the last one on both sides, as in numpy.histogram. Equal entries share a
    bin: entropy 0.

    Returns:
        float32 [n_adapters, 2].
    """
    below = _count_below(batch.sorted_entries, _inner_edges(batch))
    counts = np.diff(below, axis=-1, prepend=0, append=batch.size)
    entropy = _surprises(batch.size)[counts].sum(axis=-1)
    return as_columns(entropy, entropy / np.log(BINS))


def _inner_edges(batch: MatrixBatch) -> np.ndarray:
    """Return the 49 edges between bins, rounded up to float32 [n, 49].

    A float32 entry is below an edge exactly if it is below the next float32 from the edge upwards, so
    that comparisons in float32 put every entry into the bin that float64 arithmetic would choose.
    """
    minimum = batch.minimum[:, None].astype(np.float64)
    step = (batch.maximum[:, None] - minimum) / BINS
    edges = minimum + np.arange(1, BINS) * step
    rounded = edges.astype(np.float32)
    return np.where(rounded < edges, np.nextafter(rounded, np.float32(np.inf)), rounded)


def _count_below(sorted_entries: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return how many entries of its row are below each edge, intp [n, edges]: one binary search."""
    n, size = sorted_entries.shape
    entries = sorted_entries.reshape(-1)
    first = np.arange(0, n * size, size)[:, None]
    position = np.repeat(first, edges.shape[1], axis=1)
    remaining = size
    while remaining > 1:
        half = remaining // 2
        position += half * (entries[half - 1 :].take(position) < edges)
        remaining -= half
    position += entries.take(position) < edges
    return position - first


@lru_cache(maxsize=64)
def _surprises(size: int) -> np.ndarray:
    """Return −p ln p for p = 0/size, 1/size, …, 1: counts are integers, so logarithms are looked up."""
    share = np.arange(1, size + 1) / size
    return np.concatenate([[0.0], -share * np.log(share)])
