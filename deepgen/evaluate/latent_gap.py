"""How far below log p(x) annealing ends, by the way back, on rows that the model draws itself.

    AIS            log 1/c sum_i w_i,   chains from the prior (or q) up to the posterior         below log p(x)
    reverse AIS    -log 1/c sum_i w_i,  chains from an exact posterior draw down to the prior    above log p(x)

Both hold in expectation (Jensen), and E[w] is p(x), or 1/p(x), exactly. A row of data has no exact posterior draw, but
a simulated one has: with z ~ p(z) and x ~ p(x | z), z is one. So on simulated rows the two together bracket log p(x)
(bidirectional Monte Carlo), and their mean distance bounds how far AIS lies below on average. That carries over to data
as far as the data look like what the model draws. Sources: Grosse, Ghahramani & Adams 2015; Wu et al. 2017.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import check_count
from deepgen.evaluate.annealed import Temperatures
from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.evaluate.importance import row_ess, row_log_mean_exp
from deepgen.evaluate.latent_ais import latent_ais
from deepgen.evaluate.latent_path import Plan, check_annealing, run
from deepgen.evaluate.latent_rows import blocks, prior_draw, require_joint, with_contexts
from deepgen.random import draw, resolve

_SPREAD = 10  # moves at the posterior that part chains begun at one draw


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
    >>> found = bidirectional_gap(model, 20, temperatures=30, generator=0)
    >>> low, high = found.bracket.interval()
    >>> low < float(model.log_prob(found.x).detach().mean()) < high, found.gap.value < 0.3
    (True, True)
    """
    check_count(2, n=n)
    check_annealing(chains, temperatures, leaps, start)
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
    ess = float(row_ess(weights).sum())
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


def _simulate(model: Any, n: int, context: Tensor | None, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """z ``[n, *latent]`` of the prior and x ``[n, *event]`` of the likelihood: z is a posterior draw of its x."""
    zs, xs = [], []
    for block in blocks(model, torch.empty(n, device=stream.device), context, stream):
        z = prior_draw(block)
        zs.append(z)
        xs.append(draw(block.view.likelihood(z), generator=block.stream))
    return torch.cat(zs), torch.cat(xs)
