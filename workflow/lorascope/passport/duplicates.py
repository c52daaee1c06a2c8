"""Adapters that are the same update ΔW, in whatever factors their files hold it."""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from lorascope.passport.scan import Scan

# Rounding factors to float16 moves an update by about 3e-4 of its norm.
TOLERANCE = 1e-3


def equal_updates(scan: Scan) -> list[list[int]]:
    """Return the sets of rows (two or more each) whose updates are equal but for rounding.

    Two updates count as equal where ‖ΔW − ΔW'‖, estimated from all sketches, is within ``TOLERANCE`` of ‖ΔW‖.
    Updates of zero, and those that are not finite, are no duplicates: the passport counts them elsewhere.
    """
    sizes = scan.sizes
    rows = np.flatnonzero(np.isfinite(sizes) & (sizes > 0))
    first, second = _close_pairs(scan.sketches[rows], sizes[rows])
    ones = np.ones(len(first), bool)
    graph = coo_matrix((ones, (first, second)), shape=(len(rows), len(rows)))
    _, set_of = connected_components(graph, directed=False)
    counts = np.bincount(set_of)
    return [rows[set_of == found].tolist() for found in np.flatnonzero(counts > 1)]


def _close_pairs(sketches: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both members of each pair of equal updates, as places."""
    order = np.argsort(sketches[:, 0], kind="stable")
    sketches, sizes = sketches[order], sizes[order]
    pairs: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0, int), np.empty(0, int))]
    # One sketch may be off by several times the root mean square of all.
    near = 4 * TOLERANCE * sizes
    places = np.arange(len(order))
    for step in range(1, len(order)):
        # Sorted by the first sketch: once it is too far off, so is everything beyond.
        places = places[places < len(order) - step]
        places = places[sketches[places + step, 0] - sketches[places, 0] <= near[places]]
        if not len(places):
            break
        distances = np.sqrt(np.square(sketches[places + step] - sketches[places]).mean(axis=1))
        equal = places[distances <= TOLERANCE * sizes[places]]
        pairs.append((order[equal], order[equal + step]))
    return tuple(np.concatenate(side) for side in zip(*pairs, strict=True))
