"""Weights kept within a set by a projection after every step of an optimizer.

    theta <- P(theta - step),      P(v) the nearest point of the set to v

    MaxNorm(c):      w_i <- w_i min(1, c / |w_i|) for the weights w_i that enter a unit       the ball of radius c
    NonNegative():   w <- max(w, 0)                                                           the orthant

With steps along the gradient this is the projected gradient method, which rests exactly where the constrained problem
has its stationary points. So it is, and not a parametrisation such as w = softplus(v), for three reasons: a weight can
be 0 and the norm c, where a parametrisation only tends to with gradients that vanish; names of weights, and so
checkpoints, stay as they are; and a pass through the network costs nothing more. Under Adam and its kin the nearest
point in their own metric would be another: for NonNegative the points of rest are the same, for MaxNorm not quite.

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

from deepgen.errors import ArgumentError, MissingCapability, check_real
from deepgen.layers.initialisation import TRANSPOSED

Projection = Callable[[Tensor, int], None]


class MaxNorm:
    """The Euclidean norm of the weights that enter a unit is at most ``limit``; ``projection(weight, axis)`` in place.

    By torch's ``renorm_``, which leaves a norm that was too large 1e-7 below the limit. ``axis`` counts units.

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

    @torch.no_grad()
    def __call__(self, weight: Tensor, axis: int = 0) -> None:
        weight.renorm_(2, axis, self.limit)


class NonNegative:
    """No weight is below 0; ``projection(weight)`` in place.

    >>> w = torch.tensor([-1.0, 2.0])
    >>> NonNegative()(w)
    >>> w
    tensor([0., 2.])
    """

    @torch.no_grad()
    def __call__(self, weight: Tensor, axis: int = 0) -> None:
        weight.clamp_(min=0)


def constrain(
    optimizer: torch.optim.Optimizer, weights: nn.Module | Iterable[Tensor], projection: Projection
) -> RemovableHandle:
    """Project ``weights`` now and after every step of ``optimizer``, until ``remove()`` of what is returned.

    Args:
        optimizer: any of torch's kind; `deepgen.fit` takes it as its ``optimizer``. A run that is resumed is
            constrained anew by the same call, as checkpoints hold no functions.
        weights: parameters, whose first axis counts units; or a module, of which all tensors named ``weight`` with two
            axes or more are meant, not biases and not norms.
        projection: `MaxNorm`, `NonNegative`, or any function of a tensor and the axis of its units that changes the
            tensor in place.

    Raises:
        ArgumentError: there are no weights, or the optimizer does not move one of them.
        MissingCapability: a weight is computed from others (a parametrisation), so that a change of it would be lost.

    >>> net = nn.Linear(3, 2)
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=100.0)
    >>> handle = constrain(optimizer, net, MaxNorm(1.0))
    >>> net(torch.ones(4, 3)).sum().backward()
    >>> optimizer.step()
    >>> torch.allclose(net.weight.norm(dim=1), torch.ones(2))
    True
    """
    chosen = _weights_of(weights) if isinstance(weights, nn.Module) else [(weight, 0) for weight in weights]
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    lost = [list(weight.shape) for weight, _ in chosen if id(weight) not in moved]
    if not chosen or lost:
        shapes = f"one of shape {lost[0]}" if lost else "none at all"
        raise ArgumentError(f"weights must be parameters that the optimizer moves, got {shapes}")

    def project(*_: Any) -> None:
        for weight, axis in chosen:
            projection(weight, axis)

    with torch.no_grad():
        project()
    return optimizer.register_step_post_hook(project)


def _weights_of(module: nn.Module) -> list[tuple[Tensor, int]]:
    """Weights and the axis of their units: the second in transposed convolutions."""
    found: dict[int, tuple[Tensor, int]] = {}
    for name, part in module.named_modules():
        if nn.utils.parametrize.is_parametrized(part, "weight"):
            raise MissingCapability(
                f"the weight of {name or type(part).__name__} is a parametrisation of other tensors: constrain those, "
                "or take the parametrisation off"
            )
        weight = getattr(part, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim > 1:
            found[id(weight)] = weight, int(isinstance(part, TRANSPOSED))
    return [*found.values()]
