"""Invariance on a study's own adapters: how far each representation moves when their factors are changed."""

from collections.abc import Sequence

import numpy as np

from lorascope.data.weights import GroupWeights
from lorascope.features.invariance import ROUNDING, TOLERANCES, claimed, drifts, within
from lorascope.features.layer_factors import LayerFactors
from lorascope.features.layer_weights import Layer, layers_of

# Few are enough: a change of basis that moves features moves those of every adapter.
ADAPTERS, LAYERS = 64, 6
SEED = 0
# Of one adapter nothing differs.
FEWEST = 2
TOO_FEW = f"no layer is changed by {FEWEST} of the training adapters looked at"
ALIKE = "its features are the same in all adapters looked at"
TOO_LARGE = "the weights are so large that float32 cannot hold them changed"


def sample_layers(
    groups: Sequence[GroupWeights], norms: dict[str, np.ndarray], rows: np.ndarray
) -> dict[str, LayerFactors]:
    """Return the factors of some of the adapters ``rows`` in some layers, spread over all of them.

    Adapters whose update of a layer is zero are left out there, and layers with fewer than ``FEWEST`` others.

    Args:
        groups: weights of all layer groups.
        norms: layer → ‖ΔW‖_F of each adapter.
        rows: the adapters to choose from.
    """
    chosen = np.random.default_rng(SEED).choice(rows, min(ADAPTERS, len(rows)), replace=False)
    alive = {layer: chosen[of_layer[chosen] > 0] for layer, of_layer in norms.items()}
    layers = [(weights, layer) for weights in groups for layer in layers_of(weights)]
    layers = [(weights, layer) for weights, layer in layers if len(alive[layer.name]) >= FEWEST]
    places = np.unique(np.linspace(0, len(layers) - 1, LAYERS).round().astype(int)) if layers else ()
    sampled = [layers[place] for place in places]
    return {layer.name: _factors(weights, layer, alive[layer.name]) for weights, layer in sampled}


def _factors(weights: GroupWeights, layer: Layer, rows: np.ndarray) -> LayerFactors:
    down, up = (weights.read(matrix, 0, weights.n_adapters)[rows] for matrix in (layer.down, layer.up))
    return LayerFactors(down, up)


def certify(representation: str, layers: dict[str, LayerFactors]) -> dict:
    """Measure a representation on sampled layers.

    Returns:
        ``drifts``: change → largest drift over the layers, in standard deviations between adapters; None
        where the changed adapters do not have these features, or where nothing could be measured.
        ``invariant``: whether every change that leaves ΔW alone stays within its tolerance. ``claimed``:
        whether that is claimed. ``holds``: whether all that is claimed stays within its tolerance.
        ``reason``: why a verdict is None, as it is where not all changes could be measured; else None.
    """
    measured = [drifts(representation, factors) for factors in layers.values()]
    worst = {
        change: _worst([each[change] for each in measured if change in each])
        for change in TOLERANCES
        if any(change in each for each in measured)
    }
    kept = [change for change in TOLERANCES if change not in ROUNDING]
    verdicts = {"invariant": _verdict(kept, worst), "holds": _verdict(claimed(representation), worst)}
    return {
        "representation": representation,
        "claimed": set(kept) <= set(claimed(representation)),
        **verdicts,
        "drifts": {change: worst.get(change) for change in TOLERANCES},
        "reason": _why_unknown(layers, worst) if None in verdicts.values() else None,
    }


def _verdict(changes: Sequence[str], worst: dict[str, float | None]) -> bool | None:
    """Tell whether all changes stay within their tolerances; None where those that could be measured do."""
    if not all(within(change, worst[change]) for change in changes if change in worst):
        return False
    return True if set(changes) <= worst.keys() else None


def _why_unknown(layers: dict[str, LayerFactors], worst: dict[str, float | None]) -> str:
    if not layers:
        return TOO_FEW
    return TOO_LARGE if worst else ALIKE


def _worst(values: list[float | None]) -> float | None:
    return None if None in values else max(values)
