"""Shape of the singular value spectrum."""

import math

from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import as_columns, ratio
from lorascope.features.namespace import Array, namespace_of

TOP = 10
NAMES = (
    *(f"singular_value_{i}" for i in range(1, TOP + 1)),
    *(f"singular_value_{i}_share" for i in range(1, TOP + 1)),
    *(f"singular_gap_{i}" for i in range(1, TOP)),
    "spectral_entropy",
    "condition_number",
    "nuclear_norm",
)


def compute(batch: MatrixBatch) -> Array:
    """Return the ten largest singular values, their shares and gaps, and three summaries of all of them.

    Singular values below the numerical rank's threshold count as 0 everywhere (see
    :func:`lorascope.features.singular_values.singular_values`), and zeros stand after the last.

    - share i: σᵢ over the sum of the ten; all 0 for a zero matrix.
    - gap i: (σᵢ − σᵢ₊₁) / σᵢ, so 1 after the last singular value, and 0 where σᵢ is 0.
    - spectral entropy: −Σ p ln p, in nats, over p = σ / nuclear norm of all singular values; 0 for zeros.
    - condition number: largest over smallest non-zero singular value; 1 at rank 1, 0 for a zero matrix.
    - nuclear norm: sum of all singular values.

    Returns:
        float32 [n_adapters, 32].
    """
    singular_values = batch.singular_values
    # Zeros are filled in last: a matrix of rank 1 needs little more than its norm.
    top = singular_values[:, :TOP]
    following = _filled(top, top.shape[1] + 1)[:, 1:]
    nuclear = singular_values.sum(axis=-1)
    return as_columns(
        _filled(top, TOP),
        _filled(ratio(top, top.sum(axis=-1, keepdims=True)), TOP),
        _filled(ratio(top - following, top)[:, : TOP - 1], TOP - 1),
        _entropy(ratio(singular_values, nuclear[:, None])),
        _condition_number(singular_values),
        nuclear,
    )


def _filled(values: Array, width: int) -> Array:
    """Return values [n, k] with zeros after them, float64 [n, width]."""
    xp, (n, count) = namespace_of(values), values.shape
    filled = xp.zeros((n, width), dtype=xp.float64, device=values.device)
    filled[:, :count] = values
    return filled


def _entropy(shares: Array) -> Array:
    xp = namespace_of(shares)
    # Where a share is 0 the logarithm is that of 1: p ln p tends to 0.
    return -xp.linalg.vecdot(shares, xp.log(xp.where(shares > 0, shares, 1.0)))


def _condition_number(singular_values: Array) -> Array:
    xp = namespace_of(singular_values)
    smallest = xp.amin(xp.where(singular_values > 0, singular_values, math.inf), -1)
    return singular_values[:, 0] / smallest
