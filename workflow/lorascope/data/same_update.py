"""Which adapters have the same update ΔW, in whatever factors, family and precision it is written."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

SEED = 42
# Numbers of a sketch: the distance of two is right to about an eighth.
WIDTH = 32
# Half-precision storage moves ΔW by at most 2⁻⁸ of its size (bfloat16); another epoch of training by more.
TOLERANCE = 5e-3
# Below this, sums in another order differ.
_ROUNDING_DIGITS = 9


def sketch_updates(factors: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return random projections of the updates of some adapters, float64 [n, ``WIDTH``].

    Number k is Σ l_kᵀ ΔW r_k over the layers with Gaussian l_k and r_k, so that the mean square over k of the
    difference of two sketches estimates ‖ΔWᵢ − ΔWⱼ‖²_F (Johnson & Lindenstrauss 1984).

    Args:
        factors: A [n, rank, d_in] and B [n, d_out, rank] of each layer, in the same order for all adapters.
    """
    total = np.zeros((len(factors[0][0]), WIDTH))
    for layer, (down, up) in enumerate(factors):
        rng = np.random.default_rng([SEED, layer])
        left, right = (rng.standard_normal((size, WIDTH)) for size in (up.shape[1], down.shape[2]))
        total += ((up.swapaxes(1, 2) @ left) * (down @ right)).sum(axis=1)
    return total


def same_updates(sketches: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """Return a number per adapter, uint64 [n]: equal where updates are, up to ``tolerance`` of their size."""
    norms = np.linalg.norm(sketches, axis=1)
    is_zero = norms == 0
    norms[is_zero] = 1
    # On a scale where a distance is a relative one; sets of many exact copies would make too many pairs.
    places = np.column_stack([sketches / norms[:, None], np.log(norms)]).round(_ROUNDING_DIGITS)
    distinct, own = np.unique(places, axis=0, return_inverse=True)
    pairs = cKDTree(distinct).query_pairs(tolerance, output_type="ndarray")
    linked = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(distinct),) * 2)
    _, component = connected_components(linked, directed=False)
    return component[own.ravel()].astype(np.uint64)
