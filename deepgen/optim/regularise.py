"""What happens to a gradient between the loss and the step: penalties on weights and not on biases, and clipping.

    penalty(w) = l1 sum |w_i| + l2/2 sum w_i^2                 gradient  l1 sign(w_i) + l2 w_i
    clipping   g <- g min(1, norm / |g|)                       or each g_i cut to [-value, value]

L2 is a prior N(0, 1 / (rows l2)) of every weight, L1 a Laplacian one of scale 1 / (rows l1), both together the elastic
net (Zou & Hastie 2005), where the loss is a mean over ``rows`` rows. Biases are left alone, as they say where the data
are and not how they bend. Steps along sign(w) end within lr l1 of zero and hardly ever at it: round, if you want zeros.

Both are hooks of torch's own, ``optimizer.register_step_pre_hook(...)``, and so work with any optimizer, in any loop
and in `deepgen.fit`. Several act in the order in which they were registered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_real


def weights(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of ``model`` that are weights: trained, of two axes or more, and no part of a name is a bias.

    Numbers for each unit, such as biases and the scales of batch norms, have one axis.

    >>> import deepgen as dg
    >>> [list(w.shape) for w in weights(dg.implicit.Dense(3, [8], 2, generator=0))]
    [[8, 3], [2, 8]]
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    named = ((name.rpartition(".")[2], p) for name, p in model.named_parameters())
    return [p for name, p in named if p.requires_grad and p.ndim > 1 and "bias" not in name]


class ElasticNet:
    """l1 sum |w| + l2/2 sum w^2 over ``parameters``: called without arguments the penalty, and a hook of optimizers.

    Source: Zou & Hastie 2005; L1 alone is Tibshirani's lasso (1996), L2 alone weight decay.

    Args:
        parameters: what to keep small, as `weights` gives.
        l1, l2: strengths, per row where the loss is a mean over rows.

    Raises:
        ArgumentError: no parameters, or a negative strength.

    >>> net = nn.Linear(2, 1)
    >>> _ = net.weight.data.copy_(torch.tensor([[3.0, -4.0]]))
    >>> penalty = ElasticNet(weights(net), l1=0.1, l2=0.01)
    >>> round(penalty().item(), 6)  # 0.1 * 7 + 0.005 * 25: to be added to a loss of yours, or by a hook
    0.825
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    >>> hook = optimizer.register_step_pre_hook(penalty)
    >>> net.weight.grad = torch.zeros(1, 2)
    >>> optimizer.step()
    >>> [round(w, 4) for w in net.weight[0].tolist()]  # less 0.1 sign(w) + 0.01 w
    [2.87, -3.86]
    """

    def __init__(self, parameters: Iterable[Tensor], *, l1: float = 0.0, l2: float = 0.0) -> None:
        if isinstance(parameters, Tensor):
            raise ArgumentError("parameters must be a list, got one tensor, whose rows have no gradient: pass [w]")
        self.parameters = list(parameters)
        if not self.parameters or not all(isinstance(p, Tensor) for p in self.parameters):
            raise ArgumentError("there are no weights to keep small: pass a list of at least one, as weights(model) is")
        if not all(p.is_leaf for p in self.parameters):
            raise ArgumentError("a tensor among them is computed from others and has no gradient: pass those it is of")
        check_real("l1", l1, 0)
        check_real("l2", l2, 0)
        self.l1, self.l2 = float(l1), float(l2)

    def arguments(self) -> dict[str, Any]:
        """What a checkpoint of a fit compares, so that a run goes on with what it began with."""
        return {"l1": self.l1, "l2": self.l2, "parameters": len(self.parameters)}

    def __call__(self, optimizer: torch.optim.Optimizer | None = None, args: Any = (), kwargs: Any = None) -> Any:
        """Without an optimizer the penalty, 0-d; with one, as its hook, add the penalty's gradient to those there."""
        if optimizer is None:
            return sum(self.l1 * p.abs().sum() + self.l2 / 2 * p.square().sum() for p in self.parameters)
        _refuse_closure(args, kwargs, "add the penalty, called without arguments, to the loss in the closure")
        for p in self.parameters:
            if p.grad is not None:
                with torch.no_grad():
                    p.grad = p.grad.add(p, alpha=self.l2).add_(p.sign(), alpha=self.l1)
        return None


class Clip:
    """A hook that shortens gradients before every step, by torch's `clip_grad_norm_` or `clip_grad_value_`.

    Source: Pascanu, Mikolov & Bengio 2013.

    Args:
        norm: the greatest length of the gradient of all parameters together; its direction stays.
        value: or the greatest size of each number in it.

    Raises:
        ArgumentError: neither or both, or one that is not positive.

    >>> w = torch.zeros(2, requires_grad=True)
    >>> optimizer = torch.optim.SGD([w], lr=1.0)
    >>> hook = optimizer.register_step_pre_hook(Clip(norm=1.0))
    >>> w.grad = torch.tensor([-30.0, 40.0])
    >>> optimizer.step()
    >>> w.detach().round(decimals=4)
    tensor([ 0.6000, -0.8000])
    """

    def __init__(self, *, norm: float | None = None, value: float | None = None) -> None:
        if (norm is None) == (value is None):
            raise ArgumentError(f"give either norm or value, got norm={norm}, value={value}")
        check_real("norm" if value is None else "value", norm if value is None else value, 1e-300)
        self.norm, self.value = norm, value

    def arguments(self) -> dict[str, Any]:
        """What a checkpoint of a fit compares, so that a run goes on with what it began with."""
        return {"norm": self.norm, "value": self.value}

    def __call__(self, optimizer: torch.optim.Optimizer, args: Any = (), kwargs: Any = None) -> None:
        """Shorten the gradients of what ``optimizer`` is about to move."""
        _refuse_closure(args, kwargs, "clip in the closure, after backward()")
        moved = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.norm is not None:
            nn.utils.clip_grad_norm_(moved, self.norm)
        elif self.value is not None:
            nn.utils.clip_grad_value_(moved, self.value)


def _refuse_closure(args: Any, kwargs: Any, instead: str) -> None:
    """Raise `ArgumentError` for a step that computes its gradients itself, after the hook: it would act on old ones."""
    if any(callable(each) for each in [*args[1:], *(kwargs or {}).values()]):  # the first is the optimizer
        raise ArgumentError(f"this step computes its gradients itself, by a closure, after any hook: {instead}")
