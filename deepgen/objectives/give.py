"""Gradients handed to an optimizer, laid out in memory as their parameters are.

`Tensor.backward` sees to that; gradients by `torch.autograd.grad` come as they were computed, those of convolutions
often with channels last. torch's fused optimizers on a CPU go through parameter and gradient as they lie, one number
after the other, and step by a shuffled gradient without a word (torch 2.13; Adam, AdamW, SGD and Adagrad).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def give(parameters: Iterable[nn.Parameter], gradients: Iterable[Tensor | None]) -> None:
    """Write ``gradients`` into ``p.grad``; one of another layout is copied into its parameter's.

    >>> w = nn.Parameter(torch.zeros(2, 3))
    >>> give([w], [torch.arange(6.0).view(3, 2).t()])
    >>> w.grad.stride(), w.grad.tolist()
    ((3, 1), [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]])
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None and gradient.stride() != parameter.stride():
            gradient = torch.empty_like(parameter, requires_grad=False).copy_(gradient)
        parameter.grad = gradient
