"""Sums over the entries of each matrix, as a loop in machine code."""

from lorascope.compiled import compiled, float32, float64


@compiled
def sum_rows(matrices: float32[2], sums: float64[2]):
    """Fill ``sums`` [6, n], in the order of ``Sums``, with those of each row of ``matrices`` [n, size].

    A row is read twice, the second time from the nearest cache.
    """
    n, size = matrices.shape
    for row in range(n):
        entries = matrices[row]
        total = absolute = 0.0
        for index in range(size):
            value = float(entries[index])
            total += value
            absolute += abs(value)
        mean = total / size
        first = second = third = fourth = 0.0
        for index in range(size):
            deviation = entries[index] - mean
            square = deviation * deviation
            first += abs(deviation)
            second += square
            third += square * deviation
            fourth += square * square
        sums[0, row], sums[1, row], sums[2, row] = total, absolute, first
        sums[3, row], sums[4, row], sums[5, row] = second, third, fourth
