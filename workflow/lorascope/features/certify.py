"""Invariance on a study's own adapters: how far each representation moves when their factors are changed."""

from collections.abc import Sequence

import numpy as np

from lorascope.data.weights import GroupWeights
from lorascope.features.invariance import ROUNDING, TOLERANCES, claimed, drifts
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.layer_weights import Layer, layers_of

# Few are enough: a change of basis that moves features moves those of every adapter.
ADAPTERS, LAYERS = 64, 6
SEED = 0


def sample_layers(groups: Sequence[GroupWeights], rows: np.ndarray) -> dict[str, LayerFactors]:
    """Return the factors of some of the adapters ``rows`` in some layers, spread over all of them."""
    chosen = np.random.default_rng(SEED).choice(rows, min(ADAPTERS, len(rows)), replace=False)
    layers = [(weights, layer) for weights in groups for layer in layers_of(weights)]
    places = np.unique(np.linspace(0, len(layers) - 1, LAYERS).round().astype(int))
    sampled = [layers[place] for place in places]
    return {layer.name: _factors(weights, layer, chosen) for weights, layer in sampled}


def _factors(weights: GroupWeights, layer: Layer, rows: np.ndarray) -> LayerFactors:
    down, up = (weights.read(matrix, 0, weights.n_adapters)[rows] for matrix in (layer.down, layer.up))
    return LayerFactors(down, up)


def certify(representation: str, layers: dict[str, LayerFactors]) -> dict:
    """Measure a representation on sampled layers; adapters whose update is zero are left out.

    Returns:
        ``drifts``: change → largest drift over the layers, in standard deviations between adapters; None
        where the changed adapters do not have these features. ``invariant``: whether every change that
        leaves ΔW alone stays within its tolerance. ``claimed``: whether that is claimed. ``holds``: whether
        all that is claimed stays within its tolerance.
    """
    measured = [drifts(representation, _alive(factors)) for factors in layers.values()]
    worst = {change: _worst([each[change] for each in measured]) for change in TOLERANCES}
    within = {change: drift is not None and drift <= TOLERANCES[change] for change, drift in worst.items()}
    kept = [change for change in TOLERANCES if change not in ROUNDING]
    return {
        "representation": representation,
        "invariant": all(within[change] for change in kept),
        "claimed": set(kept) <= set(claimed(representation)),
        "holds": all(within[change] for change in claimed(representation)),
        "drifts": worst,
    }


def _alive(factors: LayerFactors) -> LayerFactors:
    alive = factors.norm > 0
    return LayerFactors(factors.down[alive], factors.up[alive]) if alive.any() else factors


def _worst(values: list[float | None]) -> float | None:
    return None if None in values else max(values)
