"""Entropy of a histogram of the entries."""

import math
from functools import lru_cache

import numpy as np

from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import as_columns
from lorascope.features.namespace import Array, namespace_of

BINS = 50
NAMES = ("histogram_entropy", "histogram_entropy_normalised")
USES = ("sorted_entries",)


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
    """Return the 51 edges of the bins, float32 [n, 51], the outer two at ∓∞.

    Inner edges are rounded up: an entry is below an edge exactly if it is below the next float32 from there
    upwards, so that comparisons in float32 put every entry into the bin that float64 would choose.
    """
    minimum = batch.xp.asarray(batch.minimum[:, None], dtype=batch.xp.float64)
    step = (batch.maximum[:, None] - minimum) / BINS
    edges = _round_up(minimum + batch.on_device(np.arange(BINS + 1)) * step)
    edges[:, 0], edges[:, -1] = -np.inf, np.inf
    return edges


def _round_up(exact: Array) -> Array:
    """Return the smallest float32 values that are not below ``exact`` (float64)."""
    xp = namespace_of(exact)
    rounded = xp.asarray(exact, dtype=xp.float32)
    too_low = rounded < exact
    # Neighbouring floats of one sign are neighbouring integers; numpy.nextafter is ten times slower.
    bits = rounded.view(xp.int32)
    bits += too_low
    bits -= 2 * (too_low & (rounded < 0))
    return rounded


def _count_below(sorted_entries: Array, edges: Array) -> Array:
    """Return how many entries of its row are below each edge, intp [n, edges]: one binary search for all."""
    xp, (n, size) = namespace_of(sorted_entries), sorted_entries.shape
    entries = sorted_entries.reshape(-1)
    first = xp.arange(0, n * size, size, device=edges.device)[:, None]
    position = first + xp.zeros_like(edges, dtype=xp.int64)
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
