"""The tail of importance weights: the shape k of a generalised Pareto law fitted to the greatest of them.

    P(w > u + t | w > u) = (1 + k t / s)^(-1/k),        moments of order below 1/k exist

Of S weights the greatest M = min(S/5, 3 sqrt S) are the tail. Below 1/2 the variance is finite and the central limit
theorem holds; above 0.7 a mean over any practical number of draws cannot be trusted, nor can its standard error; above
1 the weights have no mean to be found. The fit is the posterior mean of Zhang & Stephens 2009, drawn towards 1/2 as if
ten weights more had said so, as in the paper. Source: Vehtari, Simpson, Gelman, Yao & Gabry 2024, "Pareto smoothed
importance sampling", algorithm 1 and appendix.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deepgen.errors import ShapeError

TRUSTED = 0.7  # the greatest k of weights whose mean may be believed
FEWEST = 25  # weights, for a tail of five
_ROWS = 64  # that are fitted together: bounds the memory
_ALIKE = 1e-3  # of the greatest weight: a tail narrower than that is rounding, and does no harm
_PULL = 10.0  # weights that speak for k = 1/2 beforehand


@torch.no_grad()
def pareto_k(log_weights: Tensor) -> Tensor:
    """The shape k of the tail of each row of weights, in float64.

    Args:
        log_weights: ``[rows, draws]``, in nats, each row up to a constant of its own.

    Returns:
        ``[rows]``; NaN of fewer than 25 draws, inf of weights that are NaN or all zero, -inf where the weights of the
        tail agree to one part in a thousand (there is no tail).

    Raises:
        ShapeError: not two axes.

    >>> u = torch.rand(2, 100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> k = torch.tensor([[0.3], [0.9]])
    >>> bool((pareto_k(-k * u.log()) - k.squeeze()).abs().max() < 0.2)  # u^-k has a tail of shape k
    True
    """
    if log_weights.ndim != 2:
        raise ShapeError(f"log weights must be [rows, draws], got {list(log_weights.shape)}")
    draws = log_weights.shape[1]
    if draws < FEWEST:
        return torch.full((len(log_weights),), math.nan, dtype=torch.float64, device=log_weights.device)
    return torch.cat([_fit(rows.double(), tail_length(draws)) for rows in log_weights.split(_ROWS)])


def tail_length(draws: int) -> int:
    """How many of ``draws`` weights are the tail: min(draws / 5, 3 sqrt draws), rounded up.

    >>> tail_length(5000), tail_length(100)
    (213, 20)
    """
    return math.ceil(min(0.2 * draws, 3 * math.sqrt(draws)))


def _fit(log_weights: Tensor, tail: int) -> Tensor:
    top = log_weights.topk(tail + 1, dim=1).values.flip(1)  # rising
    weights = (top - top[:, -1:]).exp()
    excess = weights[:, 1:] - weights[:, :1]
    quarter, most = excess[:, int(tail / 4 + 0.5) - 1], excess[:, -1]
    count = 30 + int(math.sqrt(tail))
    grid = torch.arange(1, count + 1, dtype=torch.float64, device=excess.device) - 0.5
    b = (1 - (count / grid).sqrt()) / (3 * quarter[:, None]) + 1 / most[:, None]
    k = torch.log1p(-b[:, :, None] * excess[:, None, :]).mean(2)
    log_likelihood = tail * ((-b / k).log() - k - 1)
    b = (log_likelihood.nan_to_num(-math.inf).softmax(1) * b).sum(1)
    found = torch.log1p(-b[:, None] * excess).mean(1)
    found = (tail * found + 0.5 * _PULL) / (tail + _PULL)
    found = torch.where(quarter > 0, found, math.inf)  # all but a few vanish beside the greatest
    return torch.where(most <= _ALIKE, -math.inf, found)
