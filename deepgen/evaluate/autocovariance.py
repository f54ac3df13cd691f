"""Effective sample size from autocovariances: how many independent draws the draws of all chains are worth.

    ESS = C N / tau,    tau = -1 + 2 sum over k of (rho_2k + rho_2k+1),    rho_t = 1 - (W - mean over chains of c_t) / V

c_t is a chain's autocovariance at lag t, W the mean variance within chains, V that of all draws with the variance of
the chains' means added, so that chains which disagree are worth little. The sum ends with the first pair that is not
above zero (Geyer's initial positive sequence), and pairs never grow (initial monotone sequence). All is as in Stan and
ArviZ, and tau is at least 1 / log10(C N). A pair that cancels counts as 0 whatever its rounding, by which ArviZ goes:
in short chains of 0 and 1 the two can be a third apart. Only the mean over chains is transformed back: one half of the
work.

Sources: Geyer 1992, "Practical Markov chain Monte Carlo"; Vehtari et al. 2021.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

PART = 2**17  # numbers transformed at a time, so that they stay near the processor


def effective_size(x: Tensor) -> Tensor:
    """ESS of each of ``x`` ``[rows, chains, draws]``, all chains together: ``[rows]``.

    Where nothing moved it is the number of draws, as in ArviZ; where a draw is not finite it is NaN.

    >>> x = torch.randn(1, 4, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> 3000 < float(effective_size(x)) < 5000
    True
    """
    chains, n = x.shape[1:]
    size = chains * n
    x = x - x[:, :1, :1]  # far from 0 the means alone would round by more than pairs may cancel to
    covariance = mean_autocovariance(x)
    within = covariance[:, :1] * n / (n - 1)
    total = covariance[:, :1]
    if chains > 1:
        total = total + x.mean(2).var(1, keepdim=True)
    rho = 1 - (within - covariance) / total
    rho[:, 0] = 1
    tau = autocorrelation_time(rho).clamp_min(1 / math.log10(size))
    still = x.amin((1, 2)) == x.amax((1, 2))
    return torch.where(still, float(size), size / tau)


def mean_autocovariance(x: Tensor) -> Tensor:
    """Autocovariances at lags 0 to draws - 1, mean over chains: ``[rows, chains, draws] -> [rows, draws]``.

    >>> mean_autocovariance(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]]))
    tensor([[ 1.0000, -0.7500,  0.5000, -0.2500]])
    """
    n = x.shape[2]
    length = _quick_length(2 * n)
    power = torch.zeros(len(x), length // 2 + 1, dtype=x.dtype, device=x.device)
    for part in x.split(max(1, PART // max(1, len(x) * length)), dim=1):
        wave = torch.fft.rfft(part - part.mean(2, keepdim=True), n=length)
        power += (wave.real.square() + wave.imag.square()).sum(1)
    return torch.fft.irfft(power, n=length)[:, :n] / (n * x.shape[1])


def autocorrelation_time(rho: Tensor) -> Tensor:
    """tau from autocorrelations ``[rows, lags]``, cut off by Geyer's rules: ``[rows]``.

    >>> autocorrelation_time(0.5 ** torch.arange(100.0).unsqueeze(0)).round(decimals=3)  # (1 + 0.5) / (1 - 0.5)
    tensor([3.])
    """
    count = max((rho.shape[1] - 3) // 2, 0) + 1
    even, odd = rho[:, 0 : 2 * count : 2], rho[:, 1 : 2 * count : 2]
    pairs = even + odd
    zero = 100 * torch.finfo(rho.dtype).eps  # what cancels ends the sum on every machine
    stops = torch.cat([pairs[:, :-1] <= zero, torch.ones_like(pairs[:, :1], dtype=torch.bool)], 1)
    last = stops.int().argmax(1, keepdim=True)  # the pair that ends the sum
    before = torch.arange(count, device=rho.device) < last
    steady = pairs.cummin(1).values
    end, end_pair = even.gather(1, last), pairs.gather(1, last)
    rest = torch.where((end > 0) | (end_pair >= -zero), end, torch.zeros_like(end)).squeeze(1)
    tau = -1 + 2 * steady.where(before, 0.0).sum(1) + rest
    return tau.where(rho.isfinite().all(1), torch.nan)


def _quick_length(least: int) -> int:
    """The next length that transforms quickly: a power of two, or 5/8 or 3/4 of one."""
    power = 1 << max(least - 1, 7).bit_length()
    return next(n for n in (power // 8 * 5, power // 4 * 3, power) if n >= least)
