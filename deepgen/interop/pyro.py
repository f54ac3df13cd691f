"""deepgen's models in Pyro programs: a flow as a ``pyro.sample`` site and as the guide of an SVI, a VAE as both.

Pyro asks a few things of a distribution that torch's own lack; `as_pyro` gives them to any of torch's and to a
`FlowDistribution`, whose density and draw come from one pass through the flow, as a guide needs both.

    def guide(x):
        pyro.module("posterior", posterior)                         # its parameters join Pyro's store
        with pyro.plate("rows", len(x)):
            pyro.sample("z", as_pyro(posterior(x)))

What a guide q is worth is told by its importance weights (`evidence`): w = p(x, z) / q(z) with z ~ q,

    ELBO = E log w = log p(x) - KL(q || p(. | x)),        log p(x) = log E w  where q > 0 wherever the posterior is.

What q hardly ever visits is missing from both, and no error bar knows about it. A guide trained by its ELBO is of that
kind. With ``defensive`` a share of the draws, a, comes from the model's prior, and the mixture weighs them all:

    w = p(x, z) / ((1 - a) q(z) + a p(z))  <=  w_max = max over z of p(x | z) / a.

A region that holds a share m of the posterior then gets at least n m p(x) / w_max of n draws, on average. The error bar
holds if that is many for every m that would matter.

Source: Hesterberg 1995, "Weighted average importance sampling and defensive mixture distributions"; Owen 2013,
"Monte Carlo theory, methods and examples", section 9.11.

Pyro draws from torch's global stream; `deepgen.random.lend` hands it a generator for the length of a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.infer.enum import get_importance_trace
from pyro.infer.util import plate_log_prob_sum
from pyro.poutine import Trace
from torch import Tensor

from deepgen.errors import ArgumentError, check_count
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.importance import log_mean_exp
from deepgen.interop.pyro_kernel import PyroKernel, as_pyro_kernel
from deepgen.interop.pyro_law import PyroFlow, PyroLaw, as_pyro
from deepgen.interop.pyro_program import ProgramTarget, program_target
from deepgen.interop.pyro_vae import VAEProgram, vae_program
from deepgen.random import lend_everywhere

__all__ = [
    "Evidence",
    "ProgramTarget",
    "PyroFlow",
    "PyroKernel",
    "PyroLaw",
    "VAEProgram",
    "as_pyro",
    "as_pyro_kernel",
    "evidence",
    "program_target",
    "vae_program",
]

Program = Callable[..., Any]


class Evidence(NamedTuple):
    """elbo: the mean of log w; log_evidence: the log of the mean of w. Both lie below log p(x), the second closer."""

    elbo: Estimate
    log_evidence: Estimate


@torch.no_grad()
def evidence(
    model: Program,
    guide: Program,
    *args: Any,
    draws: int = 1000,
    plates: int = 1,
    defensive: float = 0.0,
    generator: torch.Generator | int | None = None,
) -> Evidence:
    """Weigh ``draws`` of a Pyro ``guide`` under ``model``: its ELBO, and importance sampling's log p(x).

    ``log p(x) - elbo`` is the Kullback-Leibler divergence from guide to posterior.

    Args:
        model, guide: Pyro programs of a fixed structure, both called with ``args``.
        draws: number of draws, at least 2, made in one vectorised call.
        plates: most plates nested in ``model`` or ``guide``; the draws take one dimension to the left of them, so that
            sites must broadcast as under ``Trace_ELBO(vectorize_particles=True)``.
        defensive: share of the draws that ``log_evidence`` takes from the prior, in [0, 1); the ELBO has the others.
            It takes the more draws, the more of the prior the data rule out.
            The guide must then sample the model's own sites directly, as Pyro's autoguides do not.
        generator: a generator, a seed, or None for fresh entropy.

    Returns:
        Two `Estimate` in nats, with the standard errors of their weights (``defensive``: a little too large, as the
        numbers of both kinds of draws are fixed).

    Warns:
        DegenerateWeights: a tenth or less of the weights count, so ``log_evidence`` cannot be believed.

    >>> import pyro, pyro.distributions as law
    >>> def model():
    ...     z = pyro.sample("z", law.Normal(0.0, 1.0))
    ...     pyro.sample("x", law.Normal(z, 1.0), obs=torch.tensor(0.0))
    >>> def guide():  # the posterior: all weights are p(x) = N(0; 0, 2)
    ...     pyro.sample("z", law.Normal(0.0, 0.5**0.5))
    >>> print(evidence(model, guide, plates=0, generator=0).elbo)
    -1.2655... ± ... nats (below; ELBO, 1000 draws)
    """
    check_count(2, draws=draws)
    check_count(0, plates=plates)
    if not 0 <= defensive < 1:
        raise ArgumentError(f"defensive must be a share of the draws in [0, 1), got {defensive}")
    kept = max(2, round(defensive * draws)) if defensive else 0
    method = f"importance sampling, {draws} draws"
    check_count(2, **{"draws of the guide": draws - kept})
    with lend_everywhere(generator):
        log_w, seen, drawn = _weigh(model, guide, args, draws - kept, plates)
        every = _defended(model, guide, args, log_w, seen, drawn, kept, plates) if kept else log_w
    mean, error = float(log_w.mean()), float(log_w.std()) / math.sqrt(len(log_w))
    elbo = Estimate(mean, error, "below", f"ELBO, {len(log_w)} draws", n=len(log_w))
    value, stderr, ess, n = log_mean_exp(every, remedy="draw more, or train the guide further")
    method += f", {kept} of them from the prior" * bool(kept)
    return Evidence(elbo, Estimate(value, stderr, "below", method, n=n, ess=ess))


def _weigh(
    top: Program, bottom: Program, args: Any, draws: int, plates: int, seen: Trace | None = None
) -> tuple[Tensor, Trace, Trace]:
    """log top(z) / bottom(z) of draws of ``bottom``, or of those ``seen``, and the traces of both."""

    def vectorised(program: Program) -> Program:
        def inside(*args: Any) -> Any:
            with pyro.plate("draws", draws, dim=-plates - 1):
                return program(*args)

        return inside

    below = vectorised(bottom) if seen is None else poutine.replay(vectorised(bottom), seen)
    above, below = get_importance_trace("flat", plates + 1, vectorised(top), below, args, {})
    below.pack_tensors()
    above.pack_tensors(below.plate_to_symbol)
    rows = below.plate_to_symbol["draws"]
    return (plate_log_prob_sum(above, rows) - plate_log_prob_sum(below, rows)).double(), above, below


def _defended(
    model: Program, guide: Program, args: Any, log_w: Tensor, seen: Trace, drawn: Trace, kept: int, plates: int
) -> Tensor:
    """log p(x, z) / ((1 - a) q(z) + a p(z)) of the guide's draws and of ``kept`` more from the prior."""
    own = [name for name in drawn.stochastic_nodes if name not in seen]
    if own:
        raise ArgumentError(
            f"defensive needs the guide's density at draws of the prior, but its sites {own} are not the model's: "
            "give a guide that samples the model's sites, such as the get_posterior() of an autoguide at one real site"
        )
    rows = len(log_w)
    share, rest = math.log(kept / (kept + rows)), math.log(rows / (kept + rows))
    prior = poutine.block(model, hide_fn=lambda site: site["type"] == "sample" and site["is_observed"])
    prior_to_guide, *_ = _weigh(prior, guide, args, rows, plates, drawn)
    with pyro.validation_enabled(False):  # which would warn of plates that are only in the model
        guide_to_prior, _, fresh = _weigh(guide, prior, args, kept, plates)
    likelihood, *_ = _weigh(model, prior, args, kept, plates, fresh)
    first = log_w - (prior_to_guide + share).logaddexp(torch.full_like(log_w, rest))
    return torch.cat([first, likelihood - (guide_to_prior + rest).logaddexp(torch.full_like(likelihood, share))])
