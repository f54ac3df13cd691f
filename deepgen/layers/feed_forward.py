"""One pass through stacked linear layers, feature-major: ``[inputs, batch] -> [outputs, batch]``.

    plain:     h_1 = r(W_1 x + b_1),  h_l = r(W_l h_{l-1} + b_l)
    residual:  h_1 = W_1 x + b_1,     h_l = h_{l-1} + B_l r(A_l r(h_{l-1}))      (pre-activation, He et al. 2016)

and a last layer without activation; what is given as ``start`` (the share of a context) is added to h_1 inside r.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.layers.activations import Activation


def feed_forward(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    r: Activation,
    *,
    start: Tensor | None = None,
    residual: bool = False,
) -> Tensor:
    """The outputs of layers with these weights ``[outputs, inputs]`` and biases ``[outputs]``.

    >>> one = torch.ones(1)
    >>> feed_forward(torch.tensor([[-2.0, 2.0]]), [one.view(1, 1)] * 2, [one, one], torch.relu)
    tensor([[1., 4.]])
    """
    h = _linear(x, weights[0], biases[0])
    if start is not None:
        h = h + start
    if residual:
        for i in range(1, len(weights) - 1, 2):
            h = h + _linear(r(_linear(r(h), weights[i], biases[i])), weights[i + 1], biases[i + 1])
        h = r(h)
    else:
        h = _in_place(r, h)
        for weight, bias in zip(weights[1:-1], biases[1:-1], strict=True):
            h = _in_place(r, _linear(h, weight, bias))
    return _linear(h, weights[-1], biases[-1])


def stacked(layers: Sequence[Any]) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of `torch.nn.Linear` layers."""
    return [layer.weight for layer in layers], [layer.bias for layer in layers]


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias.unsqueeze(1), weight, x)


def _in_place(r: Activation, x: Tensor) -> Tensor:
    """r(x) for an ``x`` that nothing else reads: spares the memory of a second layer."""
    return torch.relu_(x) if r in (F.relu, torch.relu) else r(x)
