"""Everything that a model with latent variables promises, in one call: laws, bound and draws."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability
from deepgen.implicit.latent import draw_terms
from deepgen.random import resolve
from deepgen.testing.answers import check_context, check_loaded, check_restored
from deepgen.testing.failure import demand
from deepgen.testing.gradients import check_gradient
from deepgen.testing.latent_laws import NEAR, Laws, check_ancestral, check_laws, check_mass, check_precision
from deepgen.testing.mass import POINTS, grid_mass
from deepgen.testing.randomness import check_random
from deepgen.testing.rest import check_rest
from deepgen.testing.samples import check_samples
from deepgen.testing.sequential import sequential
from deepgen.testing.view import wide
from deepgen.typing import Bound, Joint, Latent, LogProb, Rebuilt


def check_latent(
    model: nn.Module,
    x: Tensor,
    *,
    context: Tensor | None = None,
    n: int = 4096,
    alpha: float = 1e-5,
    generator: torch.Generator | int | None = None,
) -> list[str]:
    """Check a model with latent variables by all it can do, and return the names of the checks made.

    ============  =====================================================================================================
    laws          prior, posterior and likelihood are Distributions of the right batch and event, which draw inside
                  their supports; rows ``x`` lie inside that of the likelihood
    rows          a row is decoded and encoded alike alone and among others
    mass          each law of one or two real or few discrete variables integrates or sums to 1
    cells         and its draws fall into cells as its density says
    bound         one number a row; the log mean of exactly ``samples`` weights p(x, z) / q(z | x) of the draws made,
                  from one pass of the encoder; a function of the generator (`check_random`); NaN is refused
    below         the bound's mean lies below log p(x): by ``log_prob``, or by a grid over one or two latents
    gradients     of the bound, the draws' noise held, against differences of values
    restored      deep copies, weights loaded over others, and models loaded from disk answer alike
    float64       the same laws in twice the digits, and draws in that dtype
    rest          ``encode``, ``decode`` and ``reconstruct`` answer in training as in evaluation, and change nothing
    context       each row of the context decides about its own row, and about no other
    draws         ``sample`` follows prior and likelihood: no mean is handed out for a draw
    shapes ...    `check_samples`
    ============  =====================================================================================================

    What a model lacks is left out: a decoder without a posterior has no bound, a model with `Bound` alone no laws.

    Args:
        model: a module with `Latent`, `Joint` or `Bound`, or whose ``model(context)`` has one. A copy in evaluation
            mode is checked.
        x: at least two different rows that it can be asked about, ``[rows, *event]``.
        context: ``[rows, ...]`` of a conditional model, the first two different.
        n: draws in the first stage of each statistical check.
        alpha: the greatest chance that a correct model fails.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: naming the broken promise.

    >>> import deepgen as dg
    >>> vae = dg.implicit.mlp_vae(4, [8], latent=1, generator=0)
    >>> done = check_latent(vae, torch.eye(4), generator=0)
    >>> {"laws", "mass", "cells", "bound", "below", "gradients", "Rebuilt", "draws"} <= set(done)
    True
    """
    stream, new = resolve(generator), copy.deepcopy(model).eval()
    view = Laws(copy.deepcopy(new), context)
    able = view.laws()
    if not isinstance(able, (Joint, Bound)):
        raise MissingCapability(f"{view.name} has neither Joint (prior, likelihood) nor Bound, which is to be checked")
    demand(len(x) > 1 and not torch.equal(x[0], x[1]), "x must be at least two different rows")
    done = []
    if isinstance(able, Joint):
        check_laws(view, x, stream)
        done += ["laws", "rows", *check_mass(view, x, n, alpha / 4, stream)]
    if isinstance(able, Bound):
        _check_bound(view, x, stream)
        done += ["bound", *_check_gradients(view, x, stream)]
    if isinstance(able, Latent) and _check_below(view, x, n, alpha / 4, stream):
        done.append("below")
    check_restored(view, x, new)
    check_precision(view, x)
    done += ["restored", "float64", *_check_rest(view, x)]
    if context is not None:
        check_context(view, x)
        done.append("context")
    if isinstance(model, Rebuilt):
        done.append(check_loaded(view, x))
    if view.can_draw:
        done += check_samples(model, context=context, generator=stream)
        if isinstance(able, Joint):
            check_ancestral(view.at(0), n, alpha / 4, stream)
            done.append("draws")
    return list(dict.fromkeys(done))


def _check_bound(view: Laws, x: Tensor, stream: torch.Generator) -> None:
    name = view.name
    for k in (1, 7):
        laws = view.laws()
        asked, encoded = _watched(laws, "likelihood"), _watched(laws, "posterior")
        with torch.no_grad():
            value = laws.bound(x, samples=k, generator=stream)
        for method in ("likelihood", "posterior"):
            vars(laws).pop(method, None)
        demand(value.shape == x.shape[:1], f"{name}.bound of {[*x.shape]} gave {[*value.shape]}, not {[len(x)]}")
        demand(bool(value.isfinite().all()), f"{name}.bound is not finite on the rows given")
        if not isinstance(laws, Latent):
            continue
        drawn = sum(z.numel() for z in asked) // laws.prior().event_shape.numel()
        demand(drawn == k * len(x), f"{name}.bound(samples={k}) decodes {drawn} draws for {len(x)} rows")
        demand(len(encoded) == 1, f"{name}.bound encodes {len(encoded)} times: once is enough for all draws")
        with torch.no_grad():
            z = torch.cat([*asked]).reshape(k, len(x), *laws.prior().event_shape)
            log_w = laws.likelihood(z).log_prob(x.to(z.dtype)) + laws.prior().log_prob(z)
            expected = (log_w - laws.posterior(x).log_prob(z)).logsumexp(0) - math.log(k)
        off = float((value - expected).abs().max())
        near = torch.allclose(value, expected, 10 * NEAR, 10 * NEAR)  # flows know their draws' density another way
        demand(near, f"{name}.bound of {k} draws is {off:.3g} nats off the log mean of their weights")
    with torch.no_grad():  # with gradients a posterior without rsample has no bound
        check_random(lambda generator: view.laws().bound(x, samples=3, generator=generator), generator=stream)
    if x.is_floating_point():
        broken = x.clone()
        broken[0].fill_(math.nan)
        try:
            with torch.no_grad():
                view.laws().bound(broken, generator=stream)
        except ValueError:
            return
        demand(False, f"{name}.bound takes rows of NaN: refuse them by a deepgen.errors.SupportError")


def _check_rest(view: Laws, x: Tensor) -> list[str]:
    for method in ("encode", "decode", "reconstruct"):
        if not hasattr(view.laws(), method):
            return []

        def ask(method: str = method) -> Tensor:
            laws = view.laws()
            z = laws.encode(x, generator=0) if method == "decode" else x
            options: dict[str, Any] = {} if method == "decode" else {"generator": 0}
            found: Tensor = getattr(laws, method)(z, **options)
            return found

        check_rest(view, ask, f"{view.name}.{method}")
    return ["rest"]


def _watched(laws: Any, method: str) -> list[Tensor]:
    """What ``method`` is called with from now on; the object alone is changed, not its class."""
    seen: list[Tensor] = []
    call = getattr(laws, method, None)
    if call is not None:

        def watched(given: Tensor) -> Any:
            seen.append(given.detach())
            return call(given)

        vars(laws)[method] = watched
    return seen


def _check_gradients(view: Laws, x: Tensor, stream: torch.Generator) -> list[str]:
    exact, rows = copy.deepcopy(view).double(), wide(x)
    leaves = [p for p in exact.model.parameters() if p.requires_grad]

    def value() -> Tensor:
        return exact.laws().bound(rows, samples=2, generator=0).sum()

    if not leaves:
        return []
    try:
        value()
    except MissingCapability:  # a posterior without rsample
        return ["no gradients"]
    check_gradient(value, leaves, what=f"{view.name}.bound", generator=stream)
    return ["gradients"]


@torch.no_grad()
def _check_below(view: Laws, x: Tensor, n: int, alpha: float, stream: torch.Generator) -> bool:
    exact, rows = copy.deepcopy(view).double(), wide(x)
    if not isinstance(exact.model, LogProb) and exact.laws().prior().event_shape.numel() not in POINTS:
        return False
    for i in range(min(2, len(x))):
        laws, row = exact.at(i).laws(), rows[i : i + 1]
        terms = draw_terms(laws, row, n, generator=stream)
        if isinstance(exact.model, LogProb):
            truth = float(exact.model.log_prob(row))
        else:
            truth = _on_a_grid(laws, row, terms.z.reshape(n, -1), float(terms.log_weights().logsumexp(0)) - math.log(n))

        def p_values(
            n: int, g: torch.Generator, laws: Any = laws, row: Tensor = row, truth: float = truth
        ) -> list[float]:
            log_w = draw_terms(laws, row, n, generator=g).log_weights()
            error = float(log_w.std()) / math.sqrt(n) + 1e-6 * (1 + abs(truth))
            return [float(torch.special.ndtr(torch.tensor((truth - float(log_w.mean())) / error)))]

        what = f"the mean bound of {view.name} lies above log p(x) = {truth:.4f}"
        sequential(p_values, what=what, n=n, alpha=alpha / 2, generator=stream)
    return True


def _on_a_grid(laws: Any, row: Tensor, near: Tensor, shift: float) -> float:
    """log of the integral of p(z) p(x | z), about ``shift``."""
    prior, event = laws.prior(), laws.prior().event_shape

    def log_joint(z: Tensor) -> Tensor:
        z = z.reshape(-1, *event)
        first = prior.log_prob(z.unsqueeze(1)).squeeze(1) if prior.batch_shape else prior.log_prob(z)
        return first + laws.likelihood(z).log_prob(row.to(z.dtype)) - shift

    return shift + math.log(grid_mass(log_joint, prior.support, near).total)
