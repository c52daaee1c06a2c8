"""Singular values of many thin matrices, exact to float64."""

from lorascope.features.namespace import Array, namespace_of, triangular_factors

# A float32 entry may be off by this share of itself, so W by at most this share of its Frobenius norm,
# and no singular value can move by more (Weyl): one that is smaller cannot be told from rounding.
FLOAT32_ROUNDING = 2.0**-24


def singular_values(values: Array, frobenius: Array) -> Array:
    """Return the singular values in descending order, zero where they are below the numerical rank.

    The numerical rank's threshold is 2⁻²⁴ · ‖W‖_F, the most by which rounding the entries to float32 can
    move a singular value; hence no condition number exceeds 2²⁴.

    Args:
        values: float32 [n, rows, cols].
        frobenius: Frobenius norms, float64 [n]; the only singular value where rows or cols is 1.

    Returns:
        float64 [n, min(rows, cols)].
    """
    _, rows, cols = values.shape
    if min(rows, cols) == 1:
        return frobenius[:, None]
    xp = namespace_of(values)
    tall = xp.asarray(values if rows >= cols else values.swapaxes(1, 2), dtype=xp.float64)
    if rows != cols:
        # R of a thin QR has the singular values of W; a Gram matrix would square the condition number.
        tall = triangular_factors(tall)
    found = xp.linalg.svdvals(tall)
    return xp.where(found > FLOAT32_ROUNDING * frobenius[:, None], found, 0.0)
