"""How large the updates are, from their factors."""

import numpy as np


def update_norms(down: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Return ‖ΔW‖_F of ΔW = BA for A [n, r, d_in] and B [n, d_out, r], float64 [n].

    ‖BA‖² = Σ (BᵀB) ∘ (AAᵀ); in float64, because what is squared may cancel.
    """
    down, turned = down.astype(np.float64), up.astype(np.float64).swapaxes(1, 2)
    if down.shape[1] == 1:
        return np.sqrt(np.vecdot(down[:, 0], down[:, 0])) * np.sqrt(np.vecdot(turned[:, 0], turned[:, 0]))
    products = (down @ down.swapaxes(1, 2)) * (turned @ turned.swapaxes(1, 2))
    # Rounding may leave a tiny negative square where the terms cancel.
    return np.sqrt(np.maximum(products.sum(axis=(1, 2)), 0))
