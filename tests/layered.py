"""Adapters for tests of layer representations: in memory, of any rank, some of them zero."""

from types import SimpleNamespace

import numpy as np

from lorascope.features.layer_factors import LayerFactors
from lorascope.features.registry import load_layer

RANKS = (1, 2, 4, 8)
D_OUT, D_IN = 20, 17


def random_factors(rank, n=12, d_out=D_OUT, d_in=D_IN, seed=0):
    """Return random factors; adapter 3 is zero, adapter 5 lacks its last component where there are two."""
    rng = np.random.default_rng(seed)
    down, up = rng.standard_normal((n, rank, d_in)), rng.standard_normal((n, d_out, rank))
    down[3:4] = 0
    if rank > 1:
        up[5:6, :, -1] = 0
    return LayerFactors(down.astype(np.float32), up.astype(np.float32))


def dense(factors):
    """Return ΔW, float64 [n, d_out, d_in]."""
    return factors.up.astype(np.float64) @ factors.down.astype(np.float64)


def fitted_to(name, factors):
    """Return what a representation learns from adapters; None where it learns nothing."""
    module = load_layer(name)
    if not module.FITTED:
        return None
    fitter = module.Fitter(factors.d_out, factors.d_in, factors.rank)
    # In two steps, as a stream comes.
    half = len(factors) // 2
    for part in (slice(0, half), slice(half, None)):
        fitter.update(LayerFactors(factors.down[part], factors.up[part]))
    return fitter.finish()


def feature_dict(name, factors, fitted):
    """Return the features by name, float64 [n] each."""
    module = load_layer(name)
    names = module.names(factors.d_out, factors.d_in, factors.rank, fitted)
    features = module.compute(factors, fitted)
    assert features.dtype == np.float32
    assert features.shape == (len(factors), len(names))
    assert len(set(names)) == len(names)
    return dict(zip(names, features.T.astype(np.float64), strict=True))


class LayerWeights:
    """Weights of a layer group in memory, with the interface that fitting and extraction need."""

    def __init__(self, n_adapters=30, shapes=((20, 17, 2), (9, 30, 1)), seed=0):
        self.n_adapters, self.matrices, self.values = n_adapters, [], []
        for index, (d_out, d_in, rank) in enumerate(shapes):
            factors = random_factors(rank, n_adapters, d_out, d_in, seed + index)
            self._add(f"block.{index}.attn1.to_q", "down", factors.down)
            self._add(f"block.{index}.attn1.to_q", "up", factors.up)

    def _add(self, layer, side, values):
        _, rows, cols = values.shape
        self.matrices.append(
            SimpleNamespace(layer=layer, side=side, rows=rows, cols=cols, name=f"{layer}.{side}")
        )
        self.values.append(values)

    def read(self, matrix, start, stop):
        return self.values[matrix][start:stop]
