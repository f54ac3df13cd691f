"""The gradient of an objective's step, parameter by parameter, against differences of the objective's value."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability
from deepgen.objectives import Adversarial
from deepgen.random import generator as new_generator
from deepgen.random import lend
from deepgen.testing.failure import demand
from deepgen.testing.gradients import check_gradient
from deepgen.typing import Objective, require

RELATIVE = 1e-9  # rounding of two gradients in float64 that are sums in another order


def check_objective(model: nn.Module, objective: Any, batch: Any, *, seed: int = 0) -> None:
    """Check that one step of ``objective`` follows the gradient of its loss, for every parameter of ``model``.

    On a copy in float64, with the same random numbers every time, two things are compared with the derivative of the
    loss for each parameter p: central differences of it (`check_gradient`), and what a step at rate 0 leaves in
    ``p.grad``.

    Args:
        model: any module that the objective takes, in the mode it is in; small ones are quick. It is left as it is.
        objective: one with ``loss(model, batch, generator=)`` besides its step, as all of deepgen's that descend a
            value have.
        batch: a few rows ``[rows, *event]``, or a pair as in training.
        seed: of the random numbers, torch's own dropout included, and of the directions.

    Float32 may take other ways (compiled kernels), which this does not see.

    Raises:
        CheckFailed: naming the parameter, with both numbers.
        MissingCapability: a step that is no gradient of a value; the message says what to check instead.

    >>> import deepgen as dg
    >>> vae = dg.implicit.mlp_vae(6, [8], latent=2, generator=0)
    >>> check_objective(vae, dg.objectives.ELBO(), torch.eye(6))
    """
    require(objective, Objective, "check its gradient")
    if why := _no_gradient(objective):
        raise MissingCapability(f"a step of {type(objective).__name__} is no gradient of a value: {why}")
    made = copy.deepcopy(model).double()
    rows = tuple(_wide(part) for part in batch) if isinstance(batch, (tuple, list)) else _wide(batch)
    state = objective.start(made, rows, generator=new_generator(seed))
    name = type(objective).__name__

    def value() -> Tensor:
        return _loss(objective, made, rows, state, seed)

    at = {n: p for n, p in made.named_parameters() if p.requires_grad}
    directions = new_generator(seed)
    expected = dict(zip(at, torch.autograd.grad(value(), [*at.values()], allow_unused=True), strict=True))
    for one, p in at.items():
        if expected[one] is not None:
            check_gradient(value, [p], what=f"{name}, parameter {one}", generator=directions)
    if hasattr(state, "position"):
        return  # chains move before such a step, so that its loss is another
    made.zero_grad(set_to_none=True)
    step = objective.update(made, torch.optim.SGD(made.parameters(), lr=0.0))
    _seeded(lambda stream: step(state, rows, generator=stream), seed)
    size = sum(float(g.square().sum()) for g in expected.values() if g is not None) ** 0.5
    for one, p in at.items():
        got, g = (torch.zeros_like(p) if found is None else found for found in (p.grad, expected[one]))
        away = float((got - g).norm())
        demand(
            away <= RELATIVE * (1 + size), f"{name}, parameter {one}: a step's gradient is {away:.3g} from its loss's"
        )


def _wide(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _seeded(f: Callable[[torch.Generator], Any], seed: int) -> Any:
    """``f`` with the same numbers every time; the global stream, which torch's dropout draws from, is lent them too."""
    with lend(new_generator(seed)):
        return f(new_generator(seed))


def _loss(objective: Any, model: nn.Module, rows: Any, state: Any, seed: int) -> Tensor:
    chains = (state.position,) if hasattr(state, "position") else ()
    with torch.enable_grad():  # a loss may hold a derivative, of which differences are taken too
        found = _seeded(lambda stream: objective.loss(model, rows, *chains, generator=stream), seed)
    value: Tensor = found[0]  # of the value and the metrics
    return value


def _no_gradient(objective: Any) -> str | None:
    if getattr(objective, "gradient", None) == "score" or getattr(objective, "dreg", False):
        return (
            "it is an unbiased estimate whose terms are held fixed where the plain derivative would move them. Compare "
            "its mean with that of the reparametrised one by deepgen.objectives.gradient_noise"
        )
    if isinstance(objective, Adversarial):
        return "two players descend two losses. Check each by check_gradient, with the other's weights fixed"
    if hasattr(objective, "loss"):
        return None
    if hasattr(objective, "pseudo_count"):
        return "it is an exact step of EM. Check that the likelihood does not fall"
    return (
        "it is a difference of means over data and over chains. Check the density that it is taken from, by "
        "check_gradient(lambda: model.log_density(x).mean(), [...], ...), and on a small machine that its "
        "exact likelihood rises (deepgen.evaluate.log_likelihood(method='exact'))"
    )
