"""log p(x) of every row by annealing in the latent space.

    log 1/c sum_i w_i,   chains from the prior (or q) up to the posterior         below log p(x)

in expectation (Jensen), and E[w] is p(x) exactly. An importance bound needs draws of q to fall where the posterior is,
all in one leap; annealing goes there in many small ones. How far below it ends on rows that the model draws itself is
told by the way back: `deepgen.evaluate.bidirectional_gap`. Sources: Neal 2001; Wu et al. 2017.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import DegenerateWeights
from deepgen.evaluate.annealed import Temperatures
from deepgen.evaluate.arguments import check_rows
from deepgen.evaluate.error_bars import standard_error
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.importance import row_ess, row_log_mean_exp
from deepgen.evaluate.latent_path import Plan, check_annealing, plan, run, starts
from deepgen.evaluate.latent_rows import (
    blocks,
    check_law_takes,
    observed,
    prior_draw,
    require_joint,
    require_one_device,
    with_contexts,
)
from deepgen.random import resolve


class LatentAIS(NamedTuple):
    """estimate: the mean over rows, below; values, variances ``[rows]``: log p(x) by row in nats, float64; ess: of the
    chains of a row ``[rows]``; plan: how they were annealed."""

    estimate: Estimate
    values: Tensor
    variances: Tensor
    ess: Tensor
    plan: Plan


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
    >>> found = latent_ais(model, x, temperatures=30, generator=0)
    >>> abs(found.estimate.value - float(model.log_prob(x).detach().mean())) < 0.2, found.estimate.side
    (True, 'below')
    """
    check_annealing(chains, temperatures, leaps, start)
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
    ess = row_ess(weights)
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
        stderr_data=standard_error(values),
        settings=settings,
        each=values,
    )
    return LatentAIS(estimate, values, variances, ess, how)


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
        law = block.view.likelihood(prior_draw(block))
        check_law_takes(law, block.x)
        name = observed(law)
    return name
