"""Annealed estimates of log Z and of log-likelihoods: AIS, reverse AIS, both together, RAISE.

    AIS          log Z_0 + log mean w, chains going up from the base                      below log Z in expectation
    reverse AIS  log Z_0 - log mean w, chains going down from exact draws of the model    above log Z in expectation
    RAISE        log f(x) - log Z_0 + log mean w, chains going down from a data row x     below log p_ann(x)

p_ann is the law of what the upward process generates; it tends to the model's own as temperatures are added. All three
are `deepgen.samplers.annealing.anneal`, and each inequality is Jensen's.

Where x = (v, e) holds hidden units e beside the data v, RAISE starts at e ~ q(e | v), a proposal that leaves no e out:

    E[ w(v, e) f_1(v, e) / (Z_0 q(e | v)) ] = sum_e p_ann(v, e) = p_ann(v),       so E[log of the mean] <= log p_ann(v),

as w(v, e) has the mean p_ann(v, e) Z_0 / f_1(v, e) for any e. For levels that p(v | e) joins to x = e (a deep belief
network) p(v | e) stands beside f_1(e), and p_ann(v) = sum_e p(v | e) p_ann(e). It is a bound of log p_ann(v), which one
can draw from exactly, and not of the model's own log p(v).

Reverse AIS is only a bound when its chains start at exact draws of the model. From a Markov chain it is one as far as
the chain has mixed, and an estimate started at data can lie on either side, and proves nothing: such values say
``undetermined``. A tensor does not show where its rows came from: that they are exact draws is for the caller to say.
Source: Neal 2001; Burda, Grosse & Salakhutdinov 2015; Grosse, Ghahramani & Adams 2015, "Sandwiching the marginal
likelihood using bidirectional Monte Carlo".
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, DegenerateWeights, is_whole
from deepgen.evaluate.annealing_groups import grouped
from deepgen.evaluate.estimate import Bracket, Estimate, Side
from deepgen.evaluate.importance import log_mean_exp, row_ess, row_log_mean_exp
from deepgen.samplers.annealing import Path, check_betas, equal_length, spread

EXACT = "handed in as exact draws of the model, on the caller's word"
HANDED = "handed in, without a word that they are exact draws of the model"
DATA = "rows of data, which are no draws of the model"
_UNPROVEN = {DATA: " from data (no bound)", HANDED: " from samples handed in (a bound if they are exact draws)"}
_VARIANCE = 0.5  # of the log weights, aimed at by adaptive temperatures
_FEWEST, _MOST = 200, 50_000

Temperatures = int | Tensor | str


class Schedule(NamedTuple):
    """betas: temperatures from 0 up to 1, float64; kind: how they were placed, in words."""

    betas: Tensor
    kind: str


def schedule(path: Path, temperatures: Temperatures, *, generator: torch.Generator, chains: int = 100) -> Schedule:
    """Turn what callers pass as ``temperatures=`` into numbers.

    An int is that many, equally spaced. ``"adaptive"`` runs two short pilots of ``chains`` chains, places the
    temperatures at equal thermodynamic length, and takes so many that the log weights would have a variance of 0.5 if
    the chains mixed at once (at least 200, at most 50,000).

    >>> import deepgen as dg
    >>> path = dg.samplers.rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> schedule(path, 3, generator=dg.random.generator(0)).betas
    tensor([0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    if isinstance(temperatures, Tensor):
        return Schedule(check_betas(temperatures), "given")
    if is_whole(temperatures):
        if temperatures < 2:
            raise ArgumentError(f"need at least 2 temperatures, got {temperatures}")
        return Schedule(torch.linspace(0, 1, int(temperatures), dtype=torch.float64), "equally spaced")
    if temperatures != "adaptive":
        raise ArgumentError(f'temperatures must be a number, a tensor from 0 to 1, or "adaptive", got {temperatures!r}')
    betas = torch.linspace(0, 1, _FEWEST, dtype=torch.float64)
    betas = equal_length(betas, spread(path, betas, chains, generator=generator), _FEWEST)
    spreads = spread(path, betas, chains, generator=generator)
    count = int(min(max(float(spreads.sum()) ** 2 / _VARIANCE, _FEWEST), _MOST))
    return Schedule(equal_length(betas, spreads, count), "adaptive, equal thermodynamic length")


class Run(NamedTuple):
    """estimate: of log Z; position: the chains at the end ``[chains, *event]``; log_weights ``[chains]``, float64."""

    estimate: Estimate
    position: Tensor
    log_weights: Tensor


def ais(path: Path, plan: Schedule, *, chains: int, generator: torch.Generator, progress: bool = False) -> Run:
    """Annealed importance sampling of log Z, from below, with the chains' ends and weights.

    >>> import deepgen as dg
    >>> g = dg.random.generator(0)
    >>> path = dg.samplers.rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> ais(path, schedule(path, 20, generator=g), chains=10, generator=g).estimate.side
    'below'
    """
    start = path.start(chains, generator=generator)
    position, log_weights = grouped(path, start, plan.betas, "AIS", generator, progress)
    mean = log_mean_exp(log_weights, remedy=_remedy(plan))
    settings = {"temperatures": len(plan.betas), "schedule": plan.kind, "chains": chains}
    estimate = Estimate(path.log_base + mean.value, mean.stderr, "below", "AIS", mean.n, mean.ess, settings=settings)
    return Run(estimate, position, log_weights)


def ais_to_tolerance(
    path: Path, plan: Schedule, tolerance: float, *, chains: int, generator: torch.Generator, progress: bool = False
) -> tuple[Schedule, Run]:
    """Double the temperatures of ``plan`` until the stderr of AIS is at most ``tolerance``, or 50,000 are reached.

    >>> import deepgen as dg
    >>> g = dg.random.generator(0)
    >>> path = dg.samplers.rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> plan, run = ais_to_tolerance(path, schedule(path, 3, generator=g), 0.1, chains=10, generator=g)
    >>> run.estimate.stderr <= 0.1, run.estimate.settings["reached"]
    (True, True)
    """
    if not tolerance > 0:
        raise ArgumentError(f"tolerance must be positive, got {tolerance}")
    while True:
        run = ais(path, plan, chains=chains, generator=generator, progress=progress)
        if run.estimate.stderr <= tolerance or 2 * len(plan.betas) > _MOST:
            settings = {**run.estimate.settings, "tolerance": tolerance, "reached": run.estimate.stderr <= tolerance}
            return plan, run._replace(estimate=replace(run.estimate, settings=settings))
        middles = (plan.betas[1:] + plan.betas[:-1]) / 2
        plan = plan._replace(betas=torch.cat([plan.betas, middles]).sort().values)


def reverse_ais(
    path: Path,
    plan: Schedule,
    samples: Tensor,
    *,
    exact: bool,
    origin: str,
    generator: torch.Generator,
    progress: bool = False,
) -> Estimate:
    """Reverse AIS of log Z from draws of the model ``[chains, *event]``.

    Args:
        path, plan: as for `ais`.
        samples: one start per chain.
        exact: whether the samples are independent exact draws of the model, so that the value lies above log Z.
        origin: where they came from, for ``settings``.
        generator: source of randomness.
        progress: show a bar with the time left.

    >>> import deepgen as dg, deepgen.testing
    >>> g = dg.random.generator(0)
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> path, draws = dg.samplers.rbm_path(rbm), dg.testing.Exact(rbm).sample(10, generator=g)[0]
    >>> plan = schedule(path, 20, generator=g)
    >>> reverse_ais(path, plan, draws, exact=True, origin="enumeration", generator=g).side
    'above'
    """
    _, log_weights = grouped(path, samples, plan.betas.flip(0), "reverse AIS", generator, progress)
    mean = log_mean_exp(log_weights, remedy=_remedy(plan))
    settings = {"temperatures": len(plan.betas), "schedule": plan.kind, "chains": len(samples), "samples": origin}
    method = "reverse AIS"
    if not exact:
        method += _UNPROVEN.get(origin, " from a chain (a bound if it has mixed)")
    side: Side = "above" if exact else "undetermined"
    return Estimate(path.log_base - mean.value, mean.stderr, side, method, mean.n, mean.ess, settings=settings)


def model_samples(
    path: Path, run: Run, steps: int, *, generator: torch.Generator, progress: bool = False
) -> tuple[Tensor, str]:
    """Draws near the model's own: the ends of AIS chains, resampled by weight, then moved ``steps`` times.

    Resampling makes them draws of the model in the limit of many chains; the moves make copies forget each other.

    >>> import deepgen as dg
    >>> g = dg.random.generator(0)
    >>> path = dg.samplers.rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> run = ais(path, schedule(path, 20, generator=g), chains=10, generator=g)
    >>> draws, origin = model_samples(path, run, 5, generator=g)
    >>> draws.shape, origin
    (torch.Size([10, 6]), 'AIS chains resampled by weight, then 5 Gibbs steps')
    """
    weights = run.log_weights.softmax(0)
    offsets = torch.rand((), generator=generator, device=weights.device, dtype=torch.float64)
    points = (torch.arange(len(weights), device=weights.device) + offsets) / len(weights)
    index = torch.searchsorted(weights.cumsum(0), points).clamp_max(len(weights) - 1)
    still = torch.ones(steps + 1, dtype=torch.float64)
    moved, _ = grouped(path, run.position[index], still, "sampling", generator, progress)
    return moved, f"AIS chains resampled by weight, then {steps} {getattr(path, 'named', 'Gibbs')} steps"


def bidirectional(
    path: Path,
    plan: Schedule,
    run: Run,
    samples: Tensor | None,
    *,
    origin: str = HANDED,
    generator: torch.Generator,
    progress: bool = False,
) -> Bracket:
    """Bracket log Z between a finished AIS run and reverse AIS from ``samples``, or from `model_samples` without.

    ``origin`` says what ``samples`` are: `EXACT` draws, `DATA`, or rows `HANDED` in of which nothing is known. From the
    last two the reverse value proves nothing.

    >>> import deepgen as dg
    >>> g = dg.random.generator(0)
    >>> path = dg.samplers.rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> plan = schedule(path, 20, generator=g)
    >>> bracket = bidirectional(path, plan, ais(path, plan, chains=10, generator=g), None, generator=g)
    >>> bracket.below.side, bracket.above.side
    ('below', 'undetermined')
    """
    exact = samples is not None and origin == EXACT
    if samples is None:
        samples, origin = model_samples(path, run, len(plan.betas), generator=generator, progress=progress)
    upper = reverse_ais(path, plan, samples, exact=exact, origin=origin, generator=generator, progress=progress)
    return Bracket(run.estimate, upper)


def raise_bound(
    path: Path,
    plan: Schedule,
    x: Tensor,
    log_density: Tensor,
    *,
    chains: int = 5,
    generator: torch.Generator,
    progress: bool = False,
) -> tuple[Tensor, Estimate]:
    """RAISE: per row a lower bound of log p_ann(x), and their mean with its Monte-Carlo error.

    Args:
        path, plan: as for `ais`.
        x: rows ``[rows, *event]``; or a start for each run ``[rows * chains, *event]``, those of a row one after the
            other, drawn from a q(e | v).
        log_density: log f_1 of those rows ``[rows]``; or of the starts, less log q, ``[rows, chains]``.
        chains: runs per row, at least 2; more of them tighten the bound.
        generator: source of randomness.
        progress: show a bar with the time left.

    >>> import deepgen as dg
    >>> g = dg.random.generator(0)
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> path, x = dg.samplers.rbm_path(rbm), torch.ones(3, 6)
    >>> bounds, mean = raise_bound(path, schedule(path, 20, generator=g), x, rbm.log_density(x), generator=g)
    >>> bounds.shape, mean.side
    (torch.Size([3]), 'below')
    """
    betas = torch.cat([plan.betas[-1:], plan.betas.flip(0)])  # first a move at beta = 1: the last of the upward process
    if log_density.ndim == 1:
        x, log_density = x.repeat_interleave(chains, 0), log_density.unsqueeze(1)
    _, log_weights = grouped(path, x, betas, "RAISE", generator, progress)
    rows = len(log_density)
    by_row = log_weights.view(rows, chains) + log_density.detach().to(log_weights)
    bounds, variances = row_log_mean_exp(by_row)
    ess = float(row_ess(by_row).mean())  # of the runs of one row
    if ess < min(0.4 * chains, 5.0):
        warnings.warn(
            f"only {ess:.1f} of {chains} runs of a row count, so the bound is loose: {_remedy(plan)}",
            DegenerateWeights,
            stacklevel=2,
        )
    bounds = bounds - path.log_base
    settings = {"temperatures": len(plan.betas), "schedule": plan.kind, "chains per row": chains}
    estimate = Estimate(
        float(bounds.mean()),
        math.sqrt(float(variances.sum())) / rows,
        "below",
        "RAISE (log-likelihood of the annealed model)",
        n=rows * chains,
        ess=ess * rows,
        unit="nats/example",
        settings=settings,
    )
    return bounds, estimate


def _remedy(plan: Schedule) -> str:
    return f"use more temperatures (now {len(plan.betas)}), or a base closer to the model (rows of its data as base=)"
