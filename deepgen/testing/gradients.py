"""Gradients against differences of values, and what they say about who depends on whom."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.testing.failure import demand

STEPS = (1e-6, 1e-7, 1e-8)
RELATIVE = 1e-5


def check_gradient(f: Callable[[], Tensor], at: Sequence[Tensor], *, what: str, generator: torch.Generator) -> None:
    """Check autograd's derivative of ``f()`` along random directions against central differences of its values.

        sum_i g_i v_i = (f(p + h v) - f(p - h v)) / 2h + O(h^2),        v_i = -1 or 1, h = 1e-6, 1e-7, 1e-8

    Args:
        f: a float64 value ``[]`` that depends on nothing but ``at``; draws in it use the same noise every time.
        at: leaf tensors p that require gradients; they are moved and put back.
        what: names the gradient in the message.
        generator: source of the directions.

    Kinks within about h of p (ReLUs at their corners), of which a large network has many, spoil a difference by chance.
    They are the fewer the smaller h is, so only failures at all three count, each along a direction of its own.

    Raises:
        CheckFailed: with both numbers.

    >>> p = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> check_gradient(lambda: p.exp().sum(), [p], what="sum of exp(p)", generator=torch.Generator())
    """
    value = f()
    demand(value.requires_grad, f"{what}: no gradient")
    found = torch.autograd.grad(value, list(at), allow_unused=True)
    value = value.detach()
    gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(at, found, strict=True)]
    size = float(sum(g.square().sum() for g in gradients)) ** 0.5
    limit = RELATIVE * size + 1e-9 * (1 + abs(float(value)))
    for step in STEPS:
        signs = [torch.randint(2, p.shape, generator=generator).to(p) * 2 - 1 for p in at]
        expected = (_moved(f, at, signs, step) - _moved(f, at, signs, -step)) / (2 * step)
        got = float(sum((g * v).sum() for g, v in zip(gradients, signs, strict=True)))
        if abs(got - expected) <= limit:
            return
    demand(False, f"{what}: autograd says {got:.6g} along a direction, differences of values say {expected:.6g}")


def check_narrow_gradient(
    f: Callable[[Any, Tensor], Tensor], module: nn.Module, rows: Callable[[], Tensor], *, what: str, real: bool = True
) -> None:
    """Check that gradients in float32 are those in float64, which other code may compute (compiled kernels, say).

    Args:
        f: of the module and rows, a value ``[]``.
        module: a copy of it in each dtype is used.
        rows: fresh rows; as with kinks in `check_gradient`, three failures in a row count.
        what: names the gradient in the message.
        real: look at the gradient in the rows too, not in the parameters alone.

    Raises:
        CheckFailed: a gradient is more than 2 % off in norm.

    >>> check_narrow_gradient(lambda m, x: m(x).sum(), nn.Linear(3, 2), lambda: torch.randn(5, 3), what="a layer")
    """
    for _attempt in range(3):
        x, found = rows(), []
        for dtype in (torch.float32, torch.float64):
            one = copy.deepcopy(module).to(dtype)
            y = x.to(dtype).requires_grad_(real) if x.is_floating_point() else x
            at = [p for p in (*one.parameters(), y) if p.requires_grad]
            found.append(torch.autograd.grad(f(one, y), at, materialize_grads=True) if at else ())
        whole = math.sqrt(sum(float(g.square().sum()) for g in found[1]))
        if all(float((a - b).norm()) <= 0.02 * (float(b.norm()) + 0.05 * whole) for a, b in zip(*found, strict=True)):
            return
    demand(False, f"{what}: gradients in float32 are not those in float64")


def check_causal(
    f: Callable[[Tensor], Tensor], x: Tensor, order: Sequence[int] | None = None, *, what: str, all_seen: bool = True
) -> None:
    """Check by gradient that output i of ``f`` depends on the inputs before i in ``order``, and on no others.

    Args:
        f: ``[batch, *event] -> [batch, *event, ...]``, numbers that describe each variable given those before it.
        x: rows ``[batch, *event]`` at which gradients are taken, real numbers even where the model's are not; several,
            since a ReLU may be off in one.
        order: the variables (flattened) in the order of dependence; 0, 1, ... if None.
        what: names f in the message.
        all_seen: every input before i must have some influence as well: no blind spot.

    Raises:
        CheckFailed: naming a pair of variables.

    >>> check_causal(lambda x: x.cumsum(1) - x, torch.zeros(1, 4), what="sums of what came before")
    """
    x = x.detach().double().requires_grad_()
    width = x[0].numel()
    place = torch.tensor(range(width) if order is None else list(order)).argsort()
    out = f(x).reshape(len(x), width, -1)
    for i in range(width):
        value = out[:, i].square().sum() + out[:, i].sum()
        (slope,) = torch.autograd.grad(value, x, retain_graph=True, materialize_grads=True)
        seen = (slope.flatten(1) != 0).any(0)
        wrong = (seen & (place >= place[i])).nonzero().flatten().tolist()
        demand(not wrong, f"{what}: variable {i} looks at {wrong}, which do not come before it")
        blind = (~seen & (place < place[i])).nonzero().flatten().tolist()
        demand(not (all_seen and blind), f"{what}: variable {i} does not see {blind}, which come before it")


@torch.no_grad()
def _moved(f: Callable[[], Tensor], at: Sequence[Tensor], signs: Sequence[Tensor], step: float) -> float:
    before = [p.clone() for p in at]
    for p, v in zip(at, signs, strict=True):
        p.add_(step * v)
    try:
        return float(f())
    finally:
        for p, old in zip(at, before, strict=True):
            p.copy_(old)
