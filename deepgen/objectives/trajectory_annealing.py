"""log Z of a machine in training, annealed both ways: up from base rates, and down from chains taken for draws of it.

    up      log Z_0 + log mean w of chains that begin at the base         at most log Z in expectation
    down    log Z_0 - log mean 1 / w of chains that end there             at least log Z, if they began at draws of it
    b       Bennett's ratio of the two sets of paths

A path through all temperatures is one draw, and w Z_0 / Z the ratio of the densities of the two laws of paths there, so
that b tends to log Z with more chains whatever the number of temperatures is (Crooks 2000; Shirts, Bair, Hooker & Pande
2003).

For discrete hidden layers log Z is at least what the distinct ones that chains are in add up to, too, and b is raised
to that. Chains take some Gibbs steps of the machine as it is first: a mode that it has just got, of most of its mass,
say, is soon among those, while chains annealed to it seldom find it.

Two things go wrong without a sign in b, and are in its error where they are more than three errors of their own:

    chains lag behind a machine that moves, and are no draws of it: ``down`` comes out low, and b with it. ``up`` knows
    nothing of them, and is more than log Z + a with a chance of e^-a at most; ``down`` should not lie below it, nor
    below that bound. By how many nats it does says how far chains are ``behind``;
    no path from the base comes to where chains are: the ways do not meet, and b is somewhere between. The law of log w
    on the way down is that on the way up times w Z_0 / Z, so where log w is normal, its means are apart by its
    variance, and should not be by more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.evaluate.bennett import jackknife, leave_one_out
from deepgen.explicit.rbm import RBM
from deepgen.objectives.trajectory_ladder import gibbs, hidden_free_energy
from deepgen.objectives.trajectory_start import SETTLING
from deepgen.objectives.trajectory_weights import least_log_z
from deepgen.samplers.annealing import anneal, rbm_path

CHAINS = 20  # each way: at 100 temperatures a look costs what 50 steps of PCD with 100 chains do
FAR = 3.0  # errors


class Annealed(NamedTuple):
    """value: of log Z, in nats; stderr: its error; lag: nats by which ``down`` lies too low, which may be noise;
    behind: the same, 0 where it may be noise; chains: each way."""

    value: float
    stderr: float
    lag: float
    behind: float
    chains: int


@torch.no_grad()
def anneal_both_ways(
    model: RBM, hidden: Tensor, mean: Tensor, temperatures: int, *, chains: int = CHAINS, generator: torch.Generator
) -> Annealed:
    """log Z from at most so many ``chains`` each way.

    Args:
        model: the machine.
        hidden: hidden layers of the chains ``[chains, hidden]``, of which the first ones serve; they stay as they are.
        mean: of the visible units over data ``[visible]``, where the base is.
        temperatures: how many, equally spaced, at least 2.
        chains: at most so many each way.
        generator: source of randomness.

    Raises:
        DivergenceError: log weights are NaN or infinite.

    >>> import deepgen as dg
    >>> rbm, g = dg.RBM(visible=6, hidden=4, generator=0), dg.random.generator(0)
    >>> h = torch.bernoulli(torch.full((50, 4), 0.5), generator=g)
    >>> found = anneal_both_ways(rbm, h, torch.full((6,), 0.5), 10, generator=g)
    >>> abs(found.value - dg.evaluate.log_partition(rbm).value) < 5 * found.stderr
    True
    """
    n = max(min(len(hidden), chains), 2)  # one would have no error
    path = rbm_path(model, model.visible.base_field(mean, len(hidden)))
    betas = torch.linspace(0, 1, temperatures, dtype=torch.float64)
    layers = [hidden[torch.arange(n) % len(hidden)]]
    for _ in range(SETTLING):
        layers.append(gibbs(model, layers[-1], generator))
    began = model.visible.sample(model.visible_field(layers[-1]), generator=generator)
    _, up = anneal(path, path.init(path.start(n, generator=generator)), betas, generator=generator)
    _, down = anneal(path, path.init(began), betas.flip(0), generator=generator)
    ratio = leave_one_out(up.unsqueeze(1), -down.unsqueeze(1))
    value, error = path.log_base + float(ratio[0]), jackknife(ratio)
    (low, spread), (high, other) = _log_mean(up), _log_mean(down)
    low, high = path.log_base + low, path.log_base - high
    if model.hidden.states is not None:
        every = torch.cat([*layers, hidden[n:]])
        bound = float(least_log_z(hidden_free_energy(model, every), every, min(value, low)))
        value = max(value, bound)
        low, spread = (bound, 0.0) if bound > low else (low, spread)
    lag = max(low - high, 0.0)
    behind = _beyond_noise(lag, spread + other)
    error = math.hypot(error, behind, _beyond_noise(*unmet(up, -down)))
    return Annealed(value, error, lag, behind, n)


def unmet(up: Tensor, down: Tensor) -> tuple[float, float]:
    """By how much more than their variance normal log w ``[chains]`` of the two ways are apart, and its variance.

    >>> up = torch.tensor([-1.0, 1.0])  # of variance 2
    >>> unmet(up, up + 5)
    (3.0, 6.0)
    """
    n, a, b = len(up), float(up.var()), float(down.var())
    return float(down.mean() - up.mean()) - (a + b) / 2, (a + b) / n + (a * a + b * b) / (2 * (n - 1))


def _log_mean(log_w: Tensor) -> tuple[float, float]:
    """log mean w, and its variance to first order."""
    share = log_w.softmax(0)
    return float(log_w.logsumexp(0)) - math.log(len(log_w)), float(share.square().sum()) - 1 / len(log_w)


def _beyond_noise(distance: float, variance: float) -> float:
    return distance if distance > FAR * math.sqrt(max(variance, 0.0)) else 0.0
