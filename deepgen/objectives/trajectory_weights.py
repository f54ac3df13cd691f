"""Weights that make draws of a new machine of draws of a frozen one and of the chains that are on their way to it.

l is the log ratio of the two machines' laws without their log Z at hidden layers h, log f_theta(h) - log f_phi(h): phi
is frozen, theta the model. M draws of phi and N chains of law c are together draws of theta with the weights

    w(h) = f_theta(h) / (M f_phi(h) / Z_phi + N c(h)),        log Z_theta = log sum w

(Veach & Guibas 1995; with c = p_theta it is Bennett's). Weights keep the shares of modes that Gibbs steps do not join.
Through the chains come parts that no draw has been in.

Chains lag behind a model that moves: c is taken as half p_theta and half p_s ~ f_phi^(1-s) f_theta^s, with the s at
which l has the mean that chains show, from 0 (still at phi) to 1. The first half keeps every w below 2 Z_theta / N.
Were all chains taken for draws of theta, what is new in it would get too little weight at every rung.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deepgen.random import uniform

_HALVINGS = 25  # of s between 0 and 1


def weights(up: Tensor, down: Tensor) -> Tensor:
    """log w / Z_phi of draws and chains from l at each, float64: ``[draws], [chains] -> [draws + chains]``.

    >>> weights(torch.zeros(2).double(), torch.zeros(2).double()).exp()
    tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """
    draws, every = math.log(len(up)), torch.cat([up, down])
    if not len(down):
        return every - draws
    s = caught_up(up, down)
    here, there = (s * every - (s * up).logsumexp(0) + draws, every - up.logsumexp(0) + draws)
    law = torch.logaddexp(here, there) - math.log(2)
    return every - torch.logaddexp(torch.full_like(every, draws), math.log(len(down)) + law)


def caught_up(up: Tensor, down: Tensor) -> Tensor:
    """The s from 0 to 1 at which draws weighted by e^(s l) have the chains' mean of l, which rises with s, 0-d.

    >>> l = torch.linspace(-3, 3, 1000).double()
    >>> round(float(caught_up(l, l[l > 0])), 2), float(caught_up(l, l[l < 0])) < 1e-6
    (0.6, True)
    """
    low, high, wanted = up.new_zeros(()), up.new_ones(()), down.mean()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        short = (middle * up).softmax(0) @ up < wanted
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return (low + high) / 2


def foreseen(ratio: Tensor) -> Tensor:
    """The chance of a jump to come once the chains have caught up with the model, from l at draws alone, float64.

    Chains ~ p_theta are those draws weighted by e^l. Chains that lag behind the model are still near phi, and jump
    more often than they should.

    >>> foreseen(torch.zeros(5)), foreseen(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    (tensor(1., dtype=torch.float64), tensor(0.2500, dtype=torch.float64))
    """
    rising = ratio.double().sort().values
    rank = torch.arange(1, len(rising) + 1, dtype=rising.dtype, device=rising.device)
    lower = (rising.logcumsumexp(0) - rising).exp()  # of draws no higher than this one, whose chance is below 1
    return ((len(rising) - rank + lower) / len(rising) * rising.softmax(0)).sum()


def least_log_z(energies: Tensor, rows: Tensor, than: float = -math.inf) -> Tensor:
    """A lower bound of log Z, sum over distinct ``rows`` ``[rows, units]`` of e^-F with F ``[rows]``, float64 0-d.

    It is proven where the units have states that can be counted: the sum leaves out all other states. Where even all
    rows together add up to no more ``than`` that, the bound cannot matter: rows are not told apart, and it is -inf.

    >>> float(least_log_z(torch.zeros(3), torch.tensor([[0.0], [1.0], [1.0]])).exp())
    2.0
    """
    if float((-energies.double()).logsumexp(0)) <= than:
        return torch.full((), -torch.inf, dtype=torch.float64, device=rows.device)
    distinct, index = torch.unique(rows, dim=0, return_inverse=True)
    first = torch.full((len(distinct),), -torch.inf, dtype=torch.float64, device=rows.device)
    return first.scatter_reduce(0, index, -energies.double(), "amax").logsumexp(0)


def resample(weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rows by their weights, one in each of ``count`` equal strata, in random order."""
    device = generator.device
    places = torch.arange(count, device=device) + uniform((count,), generator=generator, dtype=torch.float64)
    index = torch.searchsorted(weight.cumsum(0).to(device), places / count).clamp_max(len(weight) - 1)
    return index[torch.randperm(count, generator=generator, device=device)].to(weight.device)
