"""Decoding of an autoregressive map by one compiled walk, where kernels know its network and map of one variable."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.compiled import kernels, plain_memory
from deepgen.layers.masked import MaskedNet
from deepgen.transforms.spline import Spline
from deepgen.transforms.univariate import Scale

SHORT = 16  # variables below which loading compiled kernels does not pay


def walks(net: MaskedNet, univariate: Any, z: Tensor, context: Tensor | None) -> bool:
    """Whether kernels can decode z ``[features, batch]``, and pay.

    They know rectified linear units, `Scale` in float32 and float64, `Spline` in float32, on a CPU.

    >>> net = MaskedNet(range(20), 2, hidden=[20], generator=torch.Generator())
    >>> walks(net, Scale(), torch.zeros(20, 1), None), walks(net, Scale(), torch.zeros(20, 1).half(), None)
    (True, False)
    """
    types = {Scale: (torch.float32, torch.float64), Spline: (torch.float32,)}.get(type(univariate), ())
    if z.dtype not in types or net.features < SHORT or net.activation not in (F.relu, torch.relu):
        return False
    weights, biases = net.stacked()
    tensors = (z, *weights, *biases) if context is None else (z, context, *weights, *biases)
    return plain_memory(*tensors, dtype=z.dtype) and _kernels() is not None


def walk(net: MaskedNet, univariate: Any, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """x and its log slopes, both ``[features, batch]``, where `walks` says so; without gradients."""
    found, x, log_slope = _kernels(), torch.empty_like(z), torch.empty_like(z)
    packed = found.pack(net, context), found.room(net, x.numpy().dtype, z.shape[1])
    ends = z.detach().numpy(), x.numpy(), log_slope.numpy()
    if type(univariate) is Spline:
        found.spline(*packed, found.form(univariate), *ends)
    else:
        found.affine(*packed, univariate.limit, *ends)
    return x, log_slope


def _kernels() -> Any:
    return kernels("deepgen.transforms.walk_kernels")
