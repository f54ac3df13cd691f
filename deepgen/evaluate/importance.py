"""Means of importance weights on the log scale, with their error and the warning when they cannot be believed.

    value = log (1/n) sum w_i,      stderr = sd(w) / (mean(w) sqrt(n))      (the delta method),
    ess = (sum w)^2 / sum w^2.

E[value] <= log E[w] (Jensen); the gap is about half the squared stderr while that is small. A few weights that carry
everything make both value and stderr meaningless: that is what ess shows. Source: Owen 2013, "Monte Carlo theory,
methods and examples", chapter 9.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, DegenerateWeights, DivergenceError


class LogMean(NamedTuple):
    """value: log mean weight; stderr: its standard error; ess: effective number of weights; n: their number."""

    value: float
    stderr: float
    ess: float
    n: int


def log_mean_exp(log_weights: Tensor, *, remedy: str = "draw more", warn: bool = True) -> LogMean:
    """Return the log of the mean of ``exp(log_weights)``, a vector of at least 2, with stderr and ESS.

    Warns `DegenerateWeights` when fewer than a tenth of the weights (or than 5) count; its text ends in ``remedy``.

    >>> log_mean_exp(torch.zeros(10))
    LogMean(value=0.0, stderr=0.0, ess=10.0, n=10)
    """
    if log_weights.ndim != 1 or len(log_weights) < 2:
        raise ArgumentError(f"need a vector of at least 2 log weights, got {list(log_weights.shape)}")
    log_weights, n = check_weights(log_weights.double()), len(log_weights)
    top = float(log_weights.max())
    w = (log_weights - top).exp()
    mean = float(w.mean())
    ess = float(w.sum().square() / w.square().sum())
    if warn and ess < max(0.1 * n, min(5.0, n / 2)):
        warnings.warn(
            f"only {ess:.1f} of {n} importance weights count (their log has a standard deviation of "
            f"{float(log_weights.std()):.1f}), so the error bar cannot be believed: {remedy}",
            DegenerateWeights,
            stacklevel=3,
        )
    return LogMean(top + math.log(mean), float(w.std()) / (mean * math.sqrt(n)), ess, n)


def check_weights(log_weights: Tensor, *, axis: int = -1) -> Tensor:
    """Return log weights, or raise `DivergenceError`: one is NaN or +inf, or all of a mean's, along ``axis``, are zero.

    >>> check_weights(torch.tensor([[0.0, -torch.inf], [-torch.inf, -torch.inf]]))
    Traceback (most recent call last):
    deepgen.errors.DivergenceError: all weights of 1 of 2 rows are zero, first of row 1: ...
    """
    bad = int((log_weights.isnan() | (log_weights == math.inf)).sum())
    if bad:
        raise DivergenceError(
            f"{bad} of {log_weights.numel()} log weights are NaN or infinite: check the model's parameters for NaN and "
            "overflow, and its scales for 0"
        )
    zero = (log_weights == -math.inf).all(axis)
    if bool(zero.any()):
        which = f" of {int(zero.sum())} of {zero.numel()} rows" if zero.ndim else ""
        first = f", first of row {int(zero.nonzero()[0])}" if zero.ndim else ""
        raise DivergenceError(
            f"all weights{which} are zero{first}: what is drawn from and the model do not overlap, or densities vanish "
            "in this precision (try model.double(), or larger scales)"
        )
    return log_weights


def row_ess(log_weights: Tensor, axis: int = -1) -> Tensor:
    """Effective numbers (sum w)^2 / sum w^2 of log weights along ``axis``: from 1 to as many as there are.

    >>> row_ess(torch.tensor([[0.0, 0.0], [0.0, -torch.inf]])).round(decimals=4)
    tensor([2., 1.])
    """
    return (2 * log_weights.logsumexp(axis) - (2 * log_weights).logsumexp(axis)).exp()


def row_log_mean_exp(log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Log means along the last axis ``[rows, draws] -> [rows]``, and their jackknife variances ``[rows]``.

    Raises:
        DivergenceError: see `check_weights`.

    >>> row_log_mean_exp(torch.zeros(2, 5))[0]
    tensor([0., 0.], dtype=torch.float64)
    """
    log_weights = check_weights(log_weights.double())
    n = log_weights.shape[-1]
    top = log_weights.amax(-1, keepdim=True)
    w = (log_weights - top).exp()
    total = w.sum(-1, keepdim=True)
    value = (total / n).log() + top
    without = ((total - w).clamp_min(torch.finfo(w.dtype).tiny) / (n - 1)).log() + top
    variance = (n - 1) / n * (without - without.mean(-1, keepdim=True)).square().sum(-1)
    return value.squeeze(-1), variance
