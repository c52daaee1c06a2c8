"""What a representation claims not to notice, and how much it notices: certified here, not assumed."""

from collections.abc import Callable

import numpy as np

from lorascope.errors import LorascopeError
from lorascope.features.batch import MatrixBatch
from lorascope.features.columns import ratio
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.registry import feature_names, is_fitted, is_layered, load, parts

SEED = 42
# A column that varies less between adapters, relative to its mean, is a constant to every probe.
CONSTANT_SPREAD = 1e-6

Factors = tuple[np.ndarray, np.ndarray]


def invariance(representation: str, rank: int = 4) -> dict[str, dict]:
    """Measure a representation on synthetic adapters, for the table of a study.

    Returns:
        change of the factors → ``claimed`` (bool), ``drift`` (see :func:`drifts`), ``tolerance`` and
        ``holds``: whether the drift is within the tolerance.

    Raises:
        LorascopeError: there is no such representation.
    """
    found = drifts(representation, synthetic_factors(rank))
    return {
        change: {
            "claimed": change in claimed(representation),
            "drift": drift,
            "tolerance": TOLERANCES[change],
            "holds": within(change, drift),
        }
        for change, drift in found.items()
    }


def within(change: str, drift: float | None) -> bool:
    """Tell whether a drift is within the tolerance of a change."""
    return drift is not None and drift <= TOLERANCES[change]


def claimed(representation: str) -> tuple[str, ...]:
    """Return the changes of the factors that a representation claims not to notice.

    ``canonical`` claims them where σ₁ is apart from σ₂ and the sign is decided, so not for every adapter.
    """
    by_default = tuple(CHANGES) if is_layered(representation) else ()
    return getattr(load(representation), "INVARIANT_TO", by_default)


def drifts(representation: str, factors: LayerFactors) -> dict[str, float | None]:
    """Return how far features move under each change, in standard deviations between adapters.

    Args:
        factors: adapters of one layer; a representation that is fitted is fitted to them as they are.

    Returns:
        change → root mean square over adapters and features, √2 for adapters permuted; None where the
        changed adapters do not have these features. A change that float32 has no room for is left out; so
        are all where no feature differs between the adapters, because there is nothing to count in.
    """
    fitted = _fit(representation, factors)
    names, features = _features(representation, factors, fitted)
    if not _spread(features).any():
        return {}
    changed = {change: _changed(apply, factors) for change, apply in CHANGES.items()}
    return {
        change: _drift(representation, names, features, LayerFactors(down, up), fitted)
        for change, (down, up) in changed.items()
        if np.isfinite(down).all() and np.isfinite(up).all()
    }


def synthetic_factors(rank: int, n: int = 64, d_out: int = 48, d_in: int = 40) -> LayerFactors:
    """Return adapters that share a direction a component, each three quarters as large as the one before."""
    rng = np.random.default_rng(SEED)
    down, up = (rng.standard_normal((rank, d)) + rng.standard_normal((n, rank, d)) for d in (d_in, d_out))
    sizes = 0.75 ** np.arange(rank)[:, None]
    return LayerFactors(down.astype(np.float32), (sizes * up).swapaxes(1, 2).astype(np.float32))


def _changed(apply: Callable[..., Factors], factors: LayerFactors) -> Factors:
    """Return the changed factors in float32, as a file would hold them; infinite where it could not."""
    down, up = factors.down.astype(np.float64), factors.up.astype(np.float64)
    with np.errstate(over="ignore"):
        return tuple(x.astype(np.float32) for x in apply(down, up, np.random.default_rng(SEED)))


def _flip_signs(down: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> Factors:
    signs = rng.choice([-1.0, 1.0], down.shape[:2])
    return signs[:, :, None] * down, signs[:, None] * up


def _rescale(down: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> Factors:
    """Return (cB, A / c), one c an adapter."""
    scales = 10.0 ** rng.uniform(-3, 3, (len(down), 1, 1))
    return down / scales, up * scales


def _change_basis(down: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> Factors:
    """Return (B G⁻¹, G A), one G an adapter, of either orientation and a condition up to 64."""
    n, rank, _ = down.shape
    left, right = (np.linalg.qr(rng.standard_normal((n, rank, rank)))[0] for _ in range(2))
    stretches = 8.0 ** rng.uniform(-1, 1, (n, 1, rank))
    return (left * stretches) @ right @ down, up @ right.swapaxes(1, 2) / stretches @ left.swapaxes(1, 2)


def _refactor(down: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> Factors:
    """Return (U √S, √S Vᵀ)."""
    factors = LayerFactors(down, up)
    roots = np.sqrt(factors.S)
    return roots[:, :, None] * factors.V.swapaxes(1, 2), factors.U * roots[:, None]


def _pad(down: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> Factors:
    """Return the factors with a component of zeros."""
    return np.pad(down, ((0, 0), (0, 1), (0, 0))), np.pad(up, ((0, 0), (0, 0), (0, 1)))


def _round_to_float16(down: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> Factors:
    return down.astype(np.float16), up.astype(np.float16)


def _round_to_int8(down: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> Factors:
    """Return the factors rounded to 255 levels of the largest entry of each matrix."""
    steps = (np.abs(x).max(axis=(1, 2), keepdims=True) / 127 for x in (down, up))
    return tuple(np.rint(ratio(x, step)) * step for x, step in zip((down, up), steps, strict=True))


CHANGES = {
    "signs": _flip_signs,
    "rescaling": _rescale,
    "basis": _change_basis,
    "refactoring": _refactor,
    "padding": _pad,
    "float16": _round_to_float16,
    "int8": _round_to_int8,
}
ROUNDING = ("float16", "int8")
# The first changes leave ΔW alone but for storing its factors in float32; rounding them moves ΔW itself.
TOLERANCES = {**dict.fromkeys(CHANGES, 1e-5), "float16": 2e-3, "int8": 0.1}


def _fit(representation: str, factors: LayerFactors) -> dict[str, np.ndarray] | None:
    if not is_fitted(representation):
        return None
    fitter = load(representation).Fitter(factors.d_out, factors.d_in, factors.rank)
    fitter.update(factors)
    return fitter.finish()


def _features(
    representation: str, factors: LayerFactors, fitted: dict[str, np.ndarray] | None
) -> tuple[list[str], np.ndarray]:
    """Return names and features [n, features] of a representation of layers or of matrices."""
    if not is_layered(representation):
        batches = [MatrixBatch(factors.down), MatrixBatch(np.ascontiguousarray(factors.up))]
        columns = [load(part).compute(batch) for batch in batches for part in parts(representation)]
        names = [f"{side}/{name}" for side in ("down", "up") for name in feature_names(representation)]
        return names, np.hstack(columns)
    module = load(representation)
    shape = factors.d_out, factors.d_in, factors.rank
    return list(module.names(*shape, fitted)), module.compute(factors, fitted)


def _drift(
    representation: str,
    names: list[str],
    features: np.ndarray,
    changed: LayerFactors,
    fitted: dict[str, np.ndarray] | None,
) -> float | None:
    try:
        new_names, new_features = _features(representation, changed, fitted)
    except LorascopeError:
        return None
    place = {name: index for index, name in enumerate(new_names)}
    moved = new_features[:, [place[name] for name in names]].astype(np.float64) - features
    spread = _spread(features)
    varies = spread > 0
    return float(np.sqrt(np.mean((moved[:, varies] / spread[varies]) ** 2)))


def _spread(features: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each feature between adapters, float64; 0 of a constant one."""
    features = features.astype(np.float64)
    spread = features.std(axis=0)
    return np.where(spread > CONSTANT_SPREAD * np.abs(features.mean(axis=0)), spread, 0.0)
