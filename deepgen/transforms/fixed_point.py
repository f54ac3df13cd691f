"""x = g(x) for a map in which variable d depends on variables before d only: exact after at most D sweeps.

After k sweeps from anywhere the first k variables are right, so D sweeps are the plain sequential way written as whole
passes. Where the dependence is weak far fewer leave nothing to change: Jacobi iteration (Song et al. 2021,
"Accelerating feedforward computation via parallel nonlinear equation solving"; Wiggers & Hoogeboom 2020).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def fixed_point(
    g: Callable[[Tensor], Tensor], x: Tensor, limit: int, tolerance: float | None = None
) -> tuple[Tensor, int]:
    """Sweep x <- g(x) until no value moves by more than ``tolerance``, at most ``limit`` times.

    Args:
        g: the map; variable d of its value depends on variables before d of its argument.
        x: the start.
        limit: D, after which x is exact whatever the start.
        tolerance: relative to 1 + |x|; 0 for values that repeat exactly (discrete ones); None to take all sweeps.

    Returns:
        x and the number of sweeps taken, the last of which only confirmed.

    >>> import torch
    >>> shift = lambda x: torch.cat([torch.ones(1), x[:-1] + 1])
    >>> fixed_point(shift, torch.zeros(4), 4)
    (tensor([1., 2., 3., 4.]), 4)
    """
    for sweep in range(1, limit + 1):
        new = g(x)
        settled = tolerance is not None and bool(((new - x).abs() <= tolerance * (1 + new.abs())).all())
        x = new
        if settled:
            return x, sweep
    return x, limit
