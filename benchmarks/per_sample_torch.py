"""The baseline: the nine representations the plain way, one matrix of one adapter at a time, in torch.

The definitions are those of lorascope.features; nothing is shared between representations, as when each
is extracted by a run of its own, and `ensemble` computes its parts again.
"""

import math

import torch
from torch import Tensor

ROUNDING = 2.0**-24


def _or_zero(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator != 0, numerator / denominator, torch.zeros_like(numerator))


def _percentiles(w: Tensor, percents: list[float]) -> Tensor:
    return torch.quantile(w.flatten(), torch.tensor(percents) / 100)


def _moment(w: Tensor, power: int) -> Tensor:
    return _or_zero(((w - w.mean()) ** power).mean(), w.std(correction=0) ** power)


def _std(w: Tensor) -> Tensor:
    return w.std() if w.numel() > 1 else torch.zeros(())


def simple_stats(w: Tensor) -> Tensor:
    return torch.stack([w.norm(), w.mean(), _std(w), w.max(), w.min()])


def rank_based(w: Tensor) -> Tensor:
    values = _percentiles(w, [1, 5, 10, 25, 50, 75, 90, 95, 99])
    return torch.cat([values, (values[5] - values[3])[None], (values[8] - values[0])[None]])


def stats(w: Tensor) -> Tensor:
    median = _percentiles(w, [50])[0]
    return torch.stack([w.mean(), _std(w), median, w.min(), w.max(), _moment(w, 3), _moment(w, 4)])


def spectral(w: Tensor) -> Tensor:
    values = torch.linalg.svdvals(w)
    values = torch.where(values > ROUNDING * w.norm(), values, 0)
    top = torch.zeros(10)
    top[: min(10, len(values))] = values[:10]
    shares = _or_zero(values, values.sum())
    positive = values[values > 0]
    summary = [
        torch.special.entr(shares).sum(),
        positive[0] / positive[-1] if len(positive) else torch.zeros(()),
        values.sum(),
    ]
    return torch.cat(
        [top, _or_zero(top, top.sum()), _or_zero(top[:-1] - top[1:], top[:-1]), torch.stack(summary)]
    )


def matrix_norms(w: Tensor) -> Tensor:
    frobenius, nuclear = torch.linalg.matrix_norm(w, "fro"), torch.linalg.matrix_norm(w, "nuc")
    spectral_norm = torch.linalg.matrix_norm(w, 2)
    columns, rows = torch.linalg.matrix_norm(w, 1), torch.linalg.matrix_norm(w, math.inf)
    ratios = [_or_zero(nuclear, frobenius), _or_zero(spectral_norm, frobenius)]
    return torch.stack([frobenius, nuclear, spectral_norm, columns, rows, *ratios])


def distribution(w: Tensor) -> Tensor:
    values = _percentiles(w, [5, 10, 25, 50, 75, 90, 95])
    mean = w.mean()
    spread = [values[4] - values[2], (w - mean).abs().mean(), _or_zero(_std(w), mean.abs())]
    return torch.cat([values, torch.stack([*spread, _moment(w, 3), _moment(w, 4)])])


def frequency(w: Tensor) -> Tensor:
    magnitudes = torch.fft.fft2(w).abs().flatten()
    top = torch.zeros(10)
    top[: min(10, len(magnitudes))] = magnitudes.topk(min(10, len(magnitudes))).values
    share = _or_zero((top**2).sum(), (magnitudes**2).sum())
    summary = [magnitudes.mean(), magnitudes.std(correction=0), magnitudes.max(), share]
    return torch.cat([top, torch.stack(summary)])


def info_theoretic(w: Tensor) -> Tensor:
    counts = torch.histc(w, bins=50)
    entropy = torch.special.entr(counts / counts.sum()).sum()
    return torch.stack([entropy, entropy / math.log(50)])


def ensemble(w: Tensor) -> Tensor:
    return torch.cat([part(w) for part in (spectral, matrix_norms, distribution, frequency, info_theoretic)])


REPRESENTATIONS = {
    function.__name__: function
    for function in (
        simple_stats,
        rank_based,
        stats,
        spectral,
        matrix_norms,
        distribution,
        frequency,
        info_theoretic,
        ensemble,
    )
}


def extract(matrices: list[Tensor]) -> dict[str, Tensor]:
    """Return the nine representations, float32 [adapters, features].

    Args:
        matrices: one tensor a matrix, float32 [adapters, rows, cols].
    """
    n_adapters = len(matrices[0])
    return {
        name: torch.stack(
            [torch.cat([function(matrix[i]) for matrix in matrices]) for i in range(n_adapters)]
        )
        for name, function in REPRESENTATIONS.items()
    }
