"""The hyperbolic tangent as 2 sigmoid(2 x) - 1, whose sigmoid torch computes in a fraction of the time on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.compiled import followed

FEW = 2**15  # numbers, below which a function of one's own costs what its sigmoid saves


def tanh(x: Tensor) -> Tensor:
    """tanh x; of many numbers in float32 on a CPU within 2e-7 of it, elsewhere torch's own.

    >>> tanh(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.7616,  0.0000,  0.7616])
    """
    if x.numel() < FEW or not x.is_cpu or x.dtype != torch.float32 or followed():
        return torch.tanh(x)
    found: Tensor = _Tanh.apply(x)
    return found


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.mul(x, 2.0).sigmoid_().mul_(2.0).sub_(1.0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        found: Tensor = torch.ops.aten.tanh_backward(slope, y)
        return found
