"""log p(x) of every row by annealing in the latent space, and how far that lies below, by the way back.

    AIS            log 1/c sum_i w_i,   chains from the prior (or q) up to the posterior         below log p(x)
    reverse AIS    -log 1/c sum_i w_i,  chains from an exact posterior draw down to the prior    above log p(x)

Both hold in expectation (Jensen), and E[w] is p(x), or 1/p(x), exactly. A row of data has no exact posterior draw, but
a simulated one has: with z ~ p(z) and x ~ p(x | z), z is one. So on simulated rows the two together bracket log p(x)
(bidirectional Monte Carlo), and their mean distance bounds how far AIS lies below on average. That carries over to data
as far as the data look like what the model draws.

An importance bound needs draws of q to fall where the posterior is, all in one leap; annealing goes there in many small
ones. Sources: Neal 2001; Grosse, Ghahramani & Adams 2015; Wu et al. 2017.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import DegenerateWeights, check_count
from deepgen.evaluate.annealed import Temperatures
from deepgen.evaluate.arguments import check_rows
from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.evaluate.importance import row_log_mean_exp
from deepgen.evaluate.latent_path import Plan, plan, run, starts
from deepgen.evaluate.latent_rows import (
    Block,
    blocks,
    check_law_takes,
    observed,
    require_joint,
    require_one_device,
    with_contexts,
)
from deepgen.random import draw, resolve

_SPREAD = 10  # moves at the posterior that part chains begun at one draw


class LatentAIS(NamedTuple):
    """estimate: the mean over rows, below; values, variances ``[rows]``: log p(x) by row in nats, float64; ess: of the
    chains of a row ``[rows]``; plan: how they were annealed."""

    estimate: Estimate
    values: Tensor
    variances: Tensor
    ess: Tensor
    plan: Plan


class BidirectionalGap(NamedTuple):
    """bracket: of the mean log p(x) of the simulated rows; gap: the mean distance of its ends, above the error of AIS.

    below, above: log p(x) by row ``[n]`` from either side, in nats; z, x: what was simulated.
    """

    bracket: Bracket
    gap: Estimate
    below: Tensor
    above: Tensor
    z: Tensor
    x: Tensor


@torch.no_grad()
def latent_ais(
    model: Any,
    x: Tensor,
    *,
    chains: int = 16,
    temperatures: Temperatures | Plan = "adaptive",
    leaps: int = 10,
    start: str = "prior",
    context: Tensor | None = None,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> LatentAIS:
    """Annealed importance sampling of log p(x), row by row, in nats.

    Args:
        model: with ``prior()`` and ``likelihood(z)``; z real. A `Latent` has them, a `deepgen.implicit.Decoder` too.
        x: rows ``[rows, *event]``.
        chains: of each row, at least 2.
        temperatures: a number, values from 0 to 1, ``"adaptive"`` (`deepgen.evaluate.latent_path.plan`), or a `Plan`
            of an earlier run, with its step sizes.
        leaps: leapfrog steps of a trajectory, of which there is one at each temperature.
        start: ``prior``, or ``posterior`` of the model, from which fewer temperatures are needed.
        context: ``[rows, ...]``, or one for all, of a conditional model; ``model(context)`` serves as well.
        generator: a generator, a seed, or None for fresh entropy.
        progress: show a bar with the time left.

    Warns:
        DegenerateWeights: few of the chains of a row count.

    Raises:
        MissingCapability: no prior, likelihood or (``start="posterior"``) posterior, or z is discrete.
        SupportError, ShapeError, DivergenceError: as for `deepgen.evaluate.latent_bound`.

    >>> import deepgen as dg, deepgen.testing
    >>> model = dg.testing.LinearGaussian(5, 2, generator=0)
    >>> x = model.sample(20, generator=1)
    >>> found = latent_ais(model, x, temperatures=100, generator=0)
    >>> abs(found.estimate.value - float(model.log_prob(x).detach().mean())) < 0.2, found.estimate.side
    (True, 'below')
    """
    check_count(2, chains=chains)
    check_count(leaps=leaps)
    start = temperatures.start if isinstance(temperatures, Plan) else start
    require_one_device(model, x, context)
    require_joint(model, context, posterior=start == "posterior", purpose="to anneal")
    check_rows(model, x, context)
    model, context = with_contexts(model, len(x), context)
    stream = resolve(generator, x.device)
    law = _seen(model, x, context, stream)
    how = _plan(model, x, context, temperatures, leaps, start, stream)
    position = starts(model, x, context, chains, how.start, stream)
    weights = run(model, x, context, how, position, how.betas, name="AIS", generator=stream, progress=progress)
    values, variances = row_log_mean_exp(weights)
    ess = (2 * weights.logsumexp(1) - (2 * weights).logsumexp(1)).exp()
    if float(ess.mean()) < min(0.4 * chains, 5.0):
        warnings.warn(
            f"only {float(ess.mean()):.1f} of {chains} chains of a row count, so the value lies below by more than its "
            f"error says: use more temperatures (now {len(how.betas)})",
            DegenerateWeights,
            stacklevel=3,
        )
    method = "AIS in z" if how.start == "prior" else "AIS in z from the posterior"
    settings: dict[str, Any] = {
        "temperatures": len(how.betas), "schedule": how.kind, "chains per row": chains, "leapfrog steps": how.leaps,
        "start": how.start, "likelihood": law,
    }  # fmt: skip
    estimate = Estimate(
        float(values.mean()),
        math.sqrt(float(variances.sum())) / len(x),
        "below",
        method,
        n=len(x) * chains,
        ess=float(ess.sum()),
        unit="nats/example",
        stderr_data=float(values.std()) / math.sqrt(len(x)) if len(x) > 1 else math.nan,
        settings=settings,
    )
    return LatentAIS(estimate, values, variances, ess, how)


@torch.no_grad()
def bidirectional_gap(
    model: Any,
    n: int = 100,
    *,
    chains: int = 16,
    temperatures: Temperatures | Plan = "adaptive",
    leaps: int = 10,
    start: str = "prior",
    context: Tensor | None = None,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> BidirectionalGap:
    """AIS and reverse AIS on ``n`` rows that the model draws itself: how far AIS lies below, at most, on average.

    Args:
        n: simulated rows, at least 2.
        context: ``[n, ...]``, or one for all, of a conditional model.
        model, chains, temperatures, leaps, start, generator, progress: as for `latent_ais`; hand over the `Plan` of an
            estimate on data to judge that very annealing.

    Returns:
        Its ``gap`` is an `Estimate` in nats/example that lies above the distance of AIS from log p(x) on such rows.

    >>> import deepgen as dg, deepgen.testing
    >>> model = dg.testing.LinearGaussian(5, 2, generator=0)
    >>> found = bidirectional_gap(model, 50, temperatures=100, generator=0)
    >>> low, high = found.bracket.interval()
    >>> low < float(model.log_prob(found.x).detach().mean()) < high, found.gap.value < 0.3
    (True, True)
    """
    check_count(2, n=n, chains=chains)
    require_joint(model, context, posterior=start == "posterior", purpose="to simulate and anneal")
    model, context = with_contexts(model, n, context)
    like = next((p for p in getattr(model, "parameters", list)()), torch.empty(0))
    stream = resolve(generator, like.device)
    z, x = _simulate(model, n, context, stream)
    ahead = latent_ais(
        model, x, chains=chains, temperatures=temperatures, leaps=leaps, start=start, context=context, generator=stream,
        progress=progress,
    )  # fmt: skip
    how = ahead.plan
    still = torch.ones(_SPREAD, dtype=torch.float64)
    weights = run(
        model, x, context, how, z.repeat_interleave(chains, 0), torch.cat([still, how.betas.flip(0)]),
        name="reverse AIS", generator=stream, progress=progress,
    )  # fmt: skip
    above = -row_log_mean_exp(weights)[0]
    distance = above - ahead.values
    error = float(distance.std()) / math.sqrt(n)
    ess = float((2 * weights.logsumexp(1) - (2 * weights).logsumexp(1)).exp().sum())
    about = {**ahead.estimate.settings, "data": "simulated from the model", "rows": n}
    unit = "nats/example"
    # chains of a row share the draw they begin at, so the scatter over rows tells the error, and chains do not: there
    # are no more independent draws than rows
    high = Estimate(
        float(above.mean()), error, "above", "reverse AIS in z on simulated rows", n * chains, min(ess, n), unit,
        settings=about,
    )  # fmt: skip
    gap = Estimate(float(distance.mean()), error, "above", "bidirectional gap", n, unit=unit, settings=about)
    low = replace(ahead.estimate, settings=about)
    return BidirectionalGap(Bracket(low, high), gap, ahead.values, above, z, x)


def _plan(
    model: Any, x: Tensor, context: Tensor | None, given: Temperatures | Plan, leaps: int, start: str,
    stream: torch.Generator,
) -> Plan:  # fmt: skip
    if isinstance(given, Plan):
        return given
    return plan(model, x, context, temperatures=given, leaps=leaps, start=start, generator=stream)


def _seen(model: Any, x: Tensor, context: Tensor | None, stream: torch.Generator) -> str:
    """The name of the law p(x | z), after a check that all rows lie in its support."""
    name = ""
    for block in blocks(model, x, context, stream):
        law = block.view.likelihood(_prior_draw(block))
        check_law_takes(law, block.x)
        name = observed(law)
    return name


def _prior_draw(block: Block) -> Tensor:
    """One z of the prior for each row ``[rows, *latent]``."""
    prior = block.view.prior()
    return draw(prior, () if prior.batch_shape else (len(block.x),), generator=block.stream)


def _simulate(model: Any, n: int, context: Tensor | None, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """z ``[n, *latent]`` of the prior and x ``[n, *event]`` of the likelihood: z is a posterior draw of its x."""
    zs, xs = [], []
    for block in blocks(model, torch.empty(n, device=stream.device), context, stream):
        z = _prior_draw(block)
        zs.append(z)
        xs.append(draw(block.view.likelihood(z), generator=block.stream))
    return torch.cat(zs), torch.cat(xs)
