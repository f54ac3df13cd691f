"""Is a target what kernels take it for: a log density of every row by itself, its gradient, at any temperature?"""

from __future__ import annotations

import torch
from torch import Tensor

from deepgen.random import resolve
from deepgen.samplers.metropolis import Slope
from deepgen.samplers.target import Beta, Target, as_target, rowwise, slope_of
from deepgen.testing.failure import demand

EXACT = {torch.float64: 1e-9, torch.float32: 1e-4}  # of numbers that come by two ways, relative to their size
STEP = {torch.float64: 1e-5, torch.float32: 1e-2}  # of differences, which are right to its square
DIFFERENCE = {torch.float64: 1e-5, torch.float32: 3e-2}
BETAS = (0.0, 0.3, 1.0)


def check_target(target: object, x: Tensor, *, generator: torch.Generator | int | None = None) -> None:
    """Check a target at rows ``x`` ``[n, *event]``, some 20 where its mass is.

    Its log density is ``[n]``, and a row's does not depend on the rows beside it. For real supports, its gradient is
    that of autograd (where ``value_and_gradient`` gives another) and that of central differences. At inverse
    temperature beta, a number or one a chain, the value is beta log f + (1 - beta) log r and has the gradient that
    kernels use, with 0 times minus infinity as 0. Draws of a ``reference`` have the shape of a row.

    Args:
        target: a `Target` or what `deepgen.samplers.as_target` takes.
        x: rows; in float64, if the density takes it, the tolerances are 1e-5, else 3e-2.
        generator: of the directions of the differences: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: naming what is not so.

    >>> check_target(lambda x: -x.square().sum(-1) / 2, torch.randn(20, 3, dtype=torch.float64))
    >>> f = Target(lambda x: -x.square().sum(-1) / 2, lambda x: (-x.square().sum(-1) / 2, -2 * x))
    >>> check_target(f, torch.randn(20, 3, dtype=torch.float64))
    Traceback (most recent call last):
    deepgen.testing.failure.CheckFailed: the gradient of value_and_gradient is not that of log_density: ...
    """
    f, stream = as_target(target), resolve(generator)
    value = f.value(x)
    demand(value.shape == x.shape[:1], f"the log density of {len(x)} rows must be [{len(x)}], got {[*value.shape]}")
    demand(bool(value.isfinite().all()), "the log density is not finite at every row of x")
    exact = EXACT.get(x.dtype, 1e-4)
    alone = torch.cat([f.value(row) for row in x.split(1)])
    _near(alone, value, exact, "the log density of a row depends on the rows beside it")
    if f.reference is not None:
        _check_reference(f, x, stream)
    if f.discrete:
        return
    value_too, gradient = f.slope(x)
    demand(gradient.shape == x.shape, f"the gradient must be {[*x.shape]}, got {[*gradient.shape]}")
    _near(value_too, value, exact, "value_and_gradient gives another value than log_density")
    if f.value_and_gradient is not None and f.log_density(x.detach().requires_grad_()).requires_grad:
        what = "the gradient of value_and_gradient is not that of log_density"
        _near(gradient, slope_of(f.log_density, x)[1], 10 * exact, what)
    for beta in _betas(x):
        tempered = f.tempered_gradient(x, gradient, beta)
        _check_differences(f, x, tempered, beta, stream)


def _betas(x: Tensor) -> list[Beta]:
    return [1.0, *BETAS, torch.linspace(0, 1, len(x)).to(x)]


def _tempered(f: Target, x: Tensor, beta: Beta) -> Tensor:
    return f.tempered(Slope(x, f.value(x), x), beta)


def _check_reference(f: Target, x: Tensor, stream: torch.Generator) -> None:
    assert f.reference is not None
    drawn = f.start(3, generator=stream)
    demand(drawn.shape[1:] == x.shape[1:], f"draws of the reference are {[*drawn.shape[1:]]}, rows {[*x.shape[1:]]}")
    log_r = f.reference.log_prob(x)
    demand(log_r.shape == x.shape[:1], f"reference.log_prob of {len(x)} rows must be [{len(x)}], got {[*log_r.shape]}")
    for beta in _betas(x):
        power = rowwise(beta, log_r)
        expected = power * f.value(x) + (1 - power) * log_r
        _near(_tempered(f, x, beta), expected, EXACT.get(x.dtype, 1e-4), f"the law at beta = {beta} is not f^b r^(1-b)")


def _check_differences(f: Target, x: Tensor, gradient: Tensor, beta: Beta, stream: torch.Generator) -> None:
    """Along random directions; a kink near a row spoils one by chance, so three failures of one row count."""
    step, relative = STEP.get(x.dtype, 1e-2), DIFFERENCE.get(x.dtype, 3e-2)
    wrong, example = torch.ones(len(x), dtype=torch.bool, device=x.device), ""
    for _attempt in range(3):
        way = torch.randn(x.shape, generator=stream, dtype=x.dtype, device=x.device)
        ahead, behind = (_tempered(f, x + sign * step * way, beta) for sign in (1, -1))
        expected, got = (ahead - behind) / (2 * step), _dot(gradient, way)
        noise = torch.finfo(x.dtype).eps * (ahead.abs() + behind.abs()) / step
        size = _dot(gradient, gradient).sqrt()  # the deviation of got, so of what a wrong factor makes of it
        off = ~((got - expected).abs() <= relative * (size + 0.1) + 4 * noise)
        if off.any():
            i = int(off.int().argmax())
            example = f"{float(got[i]):.6g} along a direction, differences of values say {float(expected[i]):.6g}"
        wrong &= off
    at = (
        ""
        if isinstance(beta, float) and beta == 1.0
        else f" at beta {'per chain' if isinstance(beta, Tensor) else beta}"
    )
    demand(not bool(wrong.any()), f"the gradient{at} is {example}")


def _near(got: Tensor, expected: Tensor, relative: float, what: str) -> None:
    error = (got - expected).abs().max()
    demand(error <= relative * (1 + expected.abs().max()), f"{what}: off by {float(error):.2e}")


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).reshape(len(a), -1).sum(1)  # rows of any shape, also of none
