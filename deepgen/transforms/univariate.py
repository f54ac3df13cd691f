"""Increasing maps of one variable whose parameters a network puts out; couplings and autoregressive maps share them.

A map has ``count`` parameters for each variable and two methods, both element by element for tensors of any shape with
the parameters along a new first axis (``[count, *shape]``):

    encode(x, p) -> z, log dz/dx        decode(z, p) -> x, log dx/dz

`Shift` (NICE, Dinh et al. 2015) and `Scale` (RealNVP, Dinh et al. 2017; MAF, Papamakarios et al. 2017) are here,
the rational-quadratic `Spline` in a file of its own. All-zero parameters are the identity.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError

LIMIT = 6.907755  # log 1000: what log scales stay within unless another is asked for


class Univariate(Protocol):
    """``count`` parameters a variable, ``encode(x, p)`` and ``decode(z, p)``."""

    count: int

    def encode(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]: ...

    def decode(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]: ...


def soft_bound(a: Tensor, limit: float) -> Tensor:
    """a / (1 + |a| / L): a itself near zero, and never beyond -L or L.

    >>> soft_bound(torch.tensor([0.0, 1e9]), 2.0)
    tensor([0., 2.])
    """
    return a / (1 + a.abs() / limit)


class Shift(nn.Module):
    """z = x - b: keeps volume, so a chain of these needs a scale of its own somewhere (as NICE has at its end).

    >>> Shift().encode(torch.ones(3), torch.ones(1, 3))
    (tensor([0., 0., 0.]), tensor([0., 0., 0.]))
    """

    count = 1

    def arguments(self) -> dict[str, Any]:
        return {}

    def encode(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        z = x - p[0]
        return z, torch.zeros_like(z)

    def decode(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        x = z + p[0]
        return x, torch.zeros_like(x)


class Scale(nn.Module):
    """z = (x - b) e^{-s} with s = a / (1 + |a| / L): a free number a, and a log scale that stays within (-L, L).

    Without the limit one step of training can send a row to infinity. L = log 1000 leaves a factor of a thousand in
    each layer.

    Args:
        limit: L; infinity for s = a.

    >>> z, log_slope = Scale().encode(torch.ones(2), torch.zeros(2, 2))
    >>> z, log_slope
    (tensor([1., 1.]), tensor([-0., -0.]))
    """

    count = 2

    def __init__(self, limit: float = LIMIT) -> None:
        super().__init__()
        if not limit > 0:
            raise ArgumentError(f"limit must be above 0, got {limit}")
        self.limit = float(limit)

    def arguments(self) -> dict[str, Any]:
        return {"limit": self.limit}

    def encode(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        log_slope = -soft_bound(p[1], self.limit)
        return (x - p[0]) * torch.exp(log_slope), log_slope

    def decode(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        log_slope = soft_bound(p[1], self.limit)
        return torch.addcmul(p[0], z, torch.exp(log_slope)), log_slope

    def extra_repr(self) -> str:
        return f"limit={self.limit:.3g}"
