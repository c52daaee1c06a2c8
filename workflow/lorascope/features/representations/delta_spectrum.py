"""Exact singular values of ΔW and what they say about its size and its effective rank."""

import numpy as np

from lorascope.features.columns import as_columns, ratio
from lorascope.features.layer_factors import NEGLIGIBLE, SMALLEST, LayerFactors

FITTED = False
MOST = 8


def names(d_out: int, d_in: int, rank: int, fitted: dict | None = None) -> tuple[str, ...]:
    """Return the features' names: for K = min(rank, d_out, d_in, 8) singular values 2K + 4, or 1 if K = 1.

    A single singular value is the norm, and whatever compares it with others is constant.
    """
    kept = min(rank, d_out, d_in, MOST)
    if kept == 1:
        return ("log_sigma_1",)
    return (
        *(f"log_sigma_{i}" for i in range(1, kept + 1)),
        *("log_norm", "stable_rank", "effective_rank", "top_energy", "participation"),
        *(f"gap_{i}" for i in range(1, kept)),
    )


def compute(factors: LayerFactors, fitted: dict | None = None) -> np.ndarray:
    """Return singular values and their summaries, with p = σ² / Σσ² over all singular values.

    - log σᵢ: natural logarithm of max(σᵢ, 2⁻²⁰ σ₁, 1e-12), so that what rounding leaves of an absent
      component does not matter.
    - log norm: of max(‖ΔW‖_F, 1e-12).
    - stable rank 1 / p₁ (Rudelson & Vershynin 2007), effective rank exp(−Σ p ln p) (Roy & Vetterli 2007),
      top energy p₁, participation 1 / Σp²; all 0 where ΔW is 0.
    - gap i: (σᵢ − σᵢ₊₁) / σ₁; 0 where ΔW is 0.

    Returns:
        float32 [n, features].
    """
    S = factors.S[:, :MOST]
    logarithms = np.log(np.maximum(np.maximum(S, NEGLIGIBLE * S[:, :1]), SMALLEST))
    if S.shape[1] == 1:
        return as_columns(logarithms)
    energy = factors.unit_spectrum**2
    one = np.ones(len(S))
    return as_columns(
        logarithms,
        np.log(np.maximum(factors.norm, SMALLEST)),
        ratio(one, energy[:, 0]),
        np.exp(_entropy(energy)) * (factors.norm > 0),
        energy[:, 0],
        ratio(one, np.vecdot(energy, energy)),
        ratio(S[:, :-1] - S[:, 1:], S[:, :1]),
    )


def _entropy(shares: np.ndarray) -> np.ndarray:
    # Where a share is 0 the logarithm is left at 0: p ln p tends to 0.
    return -np.vecdot(shares, np.log(shares, out=np.zeros_like(shares), where=shares > 0))
