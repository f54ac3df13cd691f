"""Weights kept within a set by a projection after every step of an optimizer.

    theta <- P(theta - step),      P(v) the nearest point of the set to v

    MaxNorm(c):      w_i <- w_i min(1, c / |w_i|) for the weights w_i that enter a unit       the ball of radius c
    NonNegative():   w <- max(w, 0)                                                           the orthant

With steps along the gradient this is the projected gradient method, which rests exactly where the constrained problem
has its stationary points. So it is, and not a parametrisation such as w = softplus(v), for three reasons: a weight can
be 0 and the norm c, where a parametrisation only tends to with gradients that vanish; names of weights, and so
checkpoints, stay as they are; and a pass through the network costs nothing more. Under Adam and its kin the nearest
point in their own metric would be another: for NonNegative the points of rest are the same, for MaxNorm not quite. The
centred gradient of Boltzmann machines is not along the gradient either, and objectives refuse it beside a constraint.

Sources: Srebro & Shraibman 2005, "Rank, trace-norm and max-norm"; Hinton et al. 2012, "Improving neural networks by
preventing co-adaptation of feature detectors" (max-norm with dropout); Srivastava et al. 2014, section 5.1 (c from 3 to
4); Chorowski & Zurada 2015, "Learning understandable neural networks with nonnegative weight constraints".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from deepgen.errors import ArgumentError, check_real
from deepgen.layers.entering import Entering, check_units_axis, weights_that_enter
from deepgen.typing import Rebuilt

Projection = Callable[[Tensor, int], None]


class MaxNorm:
    """The Euclidean norm of the weights that enter a unit is at most ``limit``; ``projection(weight, axis)`` in place.

    By torch's ``renorm_``, which leaves a norm that was too large 1e-7 below the limit. ``axis`` counts units.

    Raises:
        ArgumentError: a limit that is not positive.
        ShapeError: a tensor without two axes, such as a bias, or an axis that it has not.

    >>> w = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    >>> MaxNorm(1.0)(w, 0)
    >>> w
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """

    def __init__(self, limit: float = 3.0) -> None:
        check_real("limit", limit, 0)
        if limit == 0:
            raise ArgumentError("limit must be above 0: weights of norm 0 would stay there")
        self.limit = float(limit)

    def arguments(self) -> dict[str, Any]:
        """What a checkpoint of a fit compares, so that a run goes on with what it began with."""
        return {"limit": self.limit}

    @torch.no_grad()
    def __call__(self, weight: Tensor, axis: int = 0) -> None:
        check_units_axis(weight, axis)
        weight.renorm_(2, axis, self.limit)


class NonNegative:
    """No weight is below 0; ``projection(weight)`` in place.

    >>> w = torch.tensor([-1.0, 2.0])
    >>> NonNegative()(w)
    >>> w
    tensor([0., 2.])
    """

    def arguments(self) -> dict[str, Any]:
        """What a checkpoint of a fit compares: that there was such a constraint."""
        return {}

    @torch.no_grad()
    def __call__(self, weight: Tensor, axis: int = 0) -> None:
        weight.clamp_(min=0)


class Projected:
    """The hook that `constrain` leaves with an optimizer."""

    def __init__(self, chosen: list[tuple[Tensor, Entering]], projection: Projection) -> None:
        self.chosen, self.projection = chosen, projection

    def arguments(self) -> dict[str, Any]:
        """What a checkpoint of a fit compares: the projection with its settings, and how many weights it acts on."""
        known: dict[str, Any] = dict(self.projection.arguments()) if isinstance(self.projection, Rebuilt) else {}
        name = getattr(self.projection, "__name__", type(self.projection).__name__)
        return {"projection": name, **known, "weights": len(self.chosen)}

    def holds(self, weights: set[int]) -> bool:
        """Whether one of the weights, known by their ``id``, is among those that are projected."""
        return any(id(weight) in weights for weight, _ in self.chosen)

    @torch.no_grad()
    def __call__(self, *_: Any) -> None:
        for weight, (axis, mask, groups) in self.chosen:
            if mask is not None:
                weight.mul_(mask.to(weight))  # what does not exist has no norm, and no gradient to come back by
            for part in weight.chunk(groups) if groups > 1 else [weight]:
                self.projection(part, axis)


def projections_of(optimizer: torch.optim.Optimizer) -> list[Projected]:
    """The constraints that `constrain` has left with an optimizer."""
    hooks: dict[int, Any] = getattr(optimizer, "_optimizer_step_post_hooks", {})
    return [hook for hook in hooks.values() if isinstance(hook, Projected)]


def constrain(
    optimizer: torch.optim.Optimizer, weights: nn.Module | Iterable[Tensor], projection: Projection, *, axis: int = 0
) -> RemovableHandle:
    """Project ``weights`` now and after every step of ``optimizer``, until ``remove()`` of what is returned.

    Args:
        optimizer: any of torch's kind; `deepgen.fit` takes it as its ``optimizer``. A run that is resumed is
            constrained anew by the same call, as checkpoints hold no functions; another constraint is refused.
        weights: parameters; or a module, of which all weights that enter units and are trained are meant, not biases
            and not norms (`deepgen.layers.entering`). Connections that a mask takes away count for nothing. Where
            several tensors enter the same units (a layer's inputs and its context, or its state), each is on its own.
        projection: `MaxNorm`, `NonNegative`, or any function of a tensor and the axis of its units that changes the
            tensor in place.
        axis: the axis that counts units, of ``weights`` that are parameters; a module knows its own.

    Raises:
        ArgumentError: there are no weights, or the optimizer does not move one of them, or one is constrained already.
        ShapeError: a norm of what has no two axes.
        MissingCapability: a module of another kind, whose units are not known; or a weight that is computed from others
            (a parametrisation), so that a change of it would be lost.

    >>> net = nn.Linear(3, 2)
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=100.0)
    >>> handle = constrain(optimizer, net, MaxNorm(1.0))
    >>> net(torch.ones(4, 3)).sum().backward()
    >>> optimizer.step()
    >>> torch.allclose(net.weight.norm(dim=1), torch.ones(2))
    True
    """
    if isinstance(weights, nn.Module):
        if axis:
            raise ArgumentError("axis is for parameters; the module knows the axes of its own")
        chosen: list[tuple[Tensor, Entering]] = [*weights_that_enter(weights)]
    else:
        chosen = [(weight, Entering(axis)) for weight in weights]
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    lost = [list(weight.shape) for weight, _ in chosen if id(weight) not in moved]
    if not chosen or lost:
        shapes = f"one of shape {lost[0]}" if lost else "none at all"
        raise ArgumentError(f"weights must be parameters that the optimizer moves, got {shapes}")
    given = {id(weight) for weight, _ in chosen}
    if any(hook.holds(given) for hook in projections_of(optimizer)):
        raise ArgumentError(
            "a weight is constrained already, and one projection after another need not end in both sets: remove() "
            "that constraint, or give one projection onto what is in both; of non-negative weights with a largest norm "
            "it is NonNegative, then MaxNorm"
        )
    project = Projected(chosen, projection)
    project()
    return optimizer.register_step_post_hook(project)
