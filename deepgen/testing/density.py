"""Everything that a normalised density promises, in one call: the same for flows and for autoregressive models."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from deepgen.random import draw, resolve
from deepgen.testing.answers import check_answers, demand_same
from deepgen.testing.draws import check_draws
from deepgen.testing.failure import CheckFailed, demand
from deepgen.testing.gradients import check_gradient, check_narrow_gradient
from deepgen.testing.mass import values_of
from deepgen.testing.models import check_model
from deepgen.testing.transforms import MANY, check_transform
from deepgen.testing.view import View, wide
from deepgen.typing import LogProb, require

ROWS = 8


def check_density(
    model: nn.Module,
    *,
    context: Tensor | None = None,
    n: int = 4096,
    alpha: float = 1e-5,
    generator: torch.Generator | int | None = None,
) -> list[str]:
    """Check a model with ``log_prob`` and ``sample`` by all it can do, and return the names of the checks made.

    ============  =====================================================================================================
    LogProb ...   `check_model`: rows stay apart, gradients flow, randomness is the generator's
    restored      deep copies, weights loaded over others, and models loaded from disk answer alike
    float64       the same answers in twice the digits, and draws in that dtype; no NaN with parameters times 5 and 20
    context       each row of the context decides about its own row, and about no other
    methods       the same noise gives the same sample by every ``method``
    distribution  ``model(context)`` is a torch Distribution that agrees with the model, expands, copies and pickles
    jacobian ...  `check_transform` on its ``transform``, or on the model itself
    gradients     of ``log_prob`` and ``rsample``, against differences of values; in float32 those in float64
    mass          the sum over all states (2^14 at most) is 1 to 1e-6, also with parameters times 5 and 20;
                  the integral over one or two variables is 1 to 1e-3
    cells         draws fall into cells as that mass says
    completion    rows of a discrete model whose first half is known are completed as that mass says
    code          draws, encoded, follow the base
    tilt          draws of p and of a neighbour q satisfy E_p[q / (p + q)] + E_q[q / (p + q)] = 1, at any size
    ============  =====================================================================================================

    A method that raises `MissingCapability` is left out with all that needs it, and named: ``no sample``.

    Args:
        model: a module with ``log_prob`` and ``support``, a torch constraint; the rest as it has it. A copy in
            evaluation mode is checked.
        context: rows ``[k, ...]`` to condition on, at least two; None for a model that takes none.
        n: draws in the first stage of each statistical check.
        alpha: the greatest chance that a correct model fails.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: naming the broken promise.

    >>> import deepgen as dg
    >>> done = check_density(dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0), generator=0)
    >>> {"jacobian", "mass", "cells", "code", "distribution"} <= set(done)
    True
    """
    require(model, LogProb, "be checked as a density")
    demand(hasattr(model, "support"), f"{type(model).__name__} has no support: a constraint that says what x may be")
    stream, new = resolve(generator), copy.deepcopy(model).eval()
    view = View(copy.deepcopy(new), context)
    x = view.examples(ROWS if context is None else len(context), generator=stream)
    support: Any = model.support
    demand(not view.can_draw or bool(support.check(x).all()), f"{view.name} draws outside its support")
    try:
        done = check_model(view.at(0), x, alpha=alpha / 4, generator=stream)
    except CheckFailed as failure:
        raise CheckFailed(str(failure).replace("View", view.name)) from None
    if hasattr(model, "encode") and hasattr(model, "decode"):
        done += check_transform(getattr(view.model, "transform", view.model), x, context, generator=stream)
    done += check_answers(view, x, new)
    _check_gradients(view, x, stream)
    done.append("gradients")
    for row in range(min(2, view.rows)):
        done += check_draws(view.at(row), x, n=n, alpha=alpha / 4, generator=stream)
    law = _law(view)
    if law is not None:
        _check_distribution(view, law, x, stream)
        done.append("distribution")
    done += [f"no {what}" for what in ("log_prob", "sample") if not hasattr(view, what)]
    return list(dict.fromkeys(done))


def _law(view: View) -> Any:
    """What calling the model gives, if that is a torch Distribution."""
    if type(view.model).forward is nn.Module.forward or values_of(view.model.support) is not None:
        return None
    law = view.model(*view.given(view.rows))
    return law if isinstance(law, Distribution) else None


def _check_distribution(view: View, law: Any, x: Tensor, stream: torch.Generator) -> None:
    batch = torch.Size() if view.context is None else view.context.shape[:1]
    shapes = (law.batch_shape, law.event_shape)
    demand(shapes == (batch, x.shape[1:]), f"{view.name}() has shapes {shapes}, not {(batch, x.shape[1:])}")
    if view.can_draw:
        inside = law.support.check(draw(law, (3,), generator=stream))
        demand(inside.shape == (3, *batch), f"{view.name}().sample((3,)) or its support has another shape")
        demand(bool(inside.all()), f"{view.name}() draws outside its support")
    if not view.can_score:
        return
    expected, big = [view.log_prob(x).detach()], law.expand((2, *(batch or x.shape[:1])))
    try:
        stored = pickle.loads(pickle.dumps(law))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise CheckFailed(f"{view.name}() cannot be pickled: {error}") from error
    twins = {"": law, "pickled ": stored, "deep-copied ": copy.deepcopy(law)}
    for how, twin in twins.items():
        demand_same([twin.log_prob(x).detach()], expected, f"{how}{view.name}() has another log_prob than the model")
    demand_same([*big.log_prob(x).detach()], 2 * expected, f"{view.name}() expanded has another log_prob")
    if view.can_draw and law.has_rsample and hasattr(law, "rsample_and_log_prob"):
        with torch.random.fork_rng(devices=[]):
            drawn, log_prob = law.rsample_and_log_prob((5,))
        what = f"{view.name}().rsample_and_log_prob states another density than log_prob"
        demand_same([log_prob.detach()], [law.log_prob(drawn).detach()], what)


def _check_gradients(view: View, x: Tensor, stream: torch.Generator) -> None:
    exact, x = copy.deepcopy(view).double(), wide(x).clone()
    if exact.context is not None and exact.context.is_floating_point():
        exact.context.requires_grad_()
    x.requires_grad_(values_of(view.model.support) is None)
    leaves = [t for t in (*exact.model.parameters(), exact.context) if t is not None and t.requires_grad]
    if view.can_score and (leaves or x.requires_grad):
        at = [*leaves, *([x] if x.requires_grad else [])]
        check_gradient(lambda: exact.log_prob(x).sum(), at, what=f"{view.name}.log_prob", generator=stream)
        one = view.at(0)
        check_narrow_gradient(
            lambda v, x: v.log_prob(x).sum(),
            one,
            lambda: one.examples(MANY, generator=stream),
            what=f"{view.name}.log_prob",
            real=x.requires_grad,
        )
    law = _law(exact)
    if leaves and view.can_draw and law is not None and law.has_rsample:
        pull = torch.randn(x.shape, generator=stream, dtype=torch.float64)
        shape = () if law.batch_shape else (len(x),)

        def moved() -> Tensor:
            return (draw(_law(exact), shape, generator=resolve(0), reparametrised=True) * pull).sum()

        check_gradient(moved, leaves, what=f"{view.name}().rsample", generator=stream)
