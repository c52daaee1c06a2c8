"""How sorted entries are spread over bins, as a loop in machine code."""

from lorascope.compiled import compiled, float32, float64, int64

# Entries passed at once while the last of them is below the edge.
_STRIDE = 8


@compiled
def count_below(sorted_entries: float32[2], edges: float64[2], counts: int64[2]):
    """Fill ``counts`` [n, edges] with how many entries of its row [n, size] are below each edge.

    Entries and edges, both ascending, are passed once, side by side.
    """
    n, size = sorted_entries.shape
    for row in range(n):
        entries, below = sorted_entries[row], 0
        for index in range(edges.shape[1]):
            edge = edges[row, index]
            while below + _STRIDE <= size and entries[below + _STRIDE - 1] < edge:
                below += _STRIDE
            while below < size and entries[below] < edge:
                below += 1
            counts[row, index] = below
