"""Multilayer perceptron, the usual conditioner of a coupling, plain or residual: see `feed_forward`.

Rows go in and parameters come out first: ``[batch, inputs] -> [parameters, outputs, batch]``, because what is computed
from them (a softmax over the bins of a spline above all) is many times faster along an outer axis.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.layers.activations import Activation, activation_of, name_of
from deepgen.layers.feed_forward import stacked
from deepgen.layers.linear import linear
from deepgen.layers.rectified import rectified
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve


class MLP(nn.Module):
    """``[batch, inputs] -> [parameters, outputs, batch]``; the last layer starts small, so outputs start near zero.

    Args:
        inputs: width of a row.
        parameters, outputs: how many numbers for each of how many outputs.
        hidden: widths of the hidden layers; of the residual form all alike, one block for each after the first.
        residual: the residual form.
        activation: r, a name as for `Dense`, or a function of one tensor, which `deepgen.save` cannot write down.
        generator: source of the initial weights.

    Raises:
        ArgumentError, UnknownName: a setting outside its range.
        ShapeError: in ``forward``, rows of another width.

    >>> net = MLP(3, 2, 5, hidden=[16, 16], generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(7, 3)).shape
    torch.Size([2, 5, 7])
    """

    def __init__(
        self,
        inputs: int,
        parameters: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (128, 128),
        residual: bool = False,
        activation: str | Activation = F.relu,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual)
        self.activation = activation_of(activation) if isinstance(activation, str) else activation
        self.inputs, self.parameters_each, self.outputs, self.residual = inputs, parameters, outputs, residual
        self.hidden, generator = list(hidden), resolve(generator)
        self.first = linear(inputs, hidden[0], generator=generator)
        pairs = itertools.pairwise(hidden)
        self.inner = nn.ModuleList()
        for before, after in pairs:
            self.inner.append(linear(before, after, generator=generator))
            if residual:
                self.inner.append(linear(after, after, scale=0.01, generator=generator))
        self.last = linear(hidden[-1], parameters * outputs, scale=0.01, generator=generator)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"inputs": self.inputs, "parameters": self.parameters_each, "outputs": self.outputs,
                "hidden": self.hidden, "residual": self.residual, "activation": name_of(self.activation)}  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        check_shape("x", x, "batch", self.inputs)
        weights, biases = stacked([self.first, *self.inner, self.last])
        out = rectified(x.t(), weights, biases, self.activation, residual=self.residual)
        return out.view(self.parameters_each, self.outputs, len(x))


def check_hidden(hidden: Any, residual: bool) -> None:
    """Raise `ArgumentError` unless ``hidden`` are widths a network of that form can have."""
    if not isinstance(hidden, Sequence) or isinstance(hidden, str) or len(hidden) == 0:
        such = [hidden] * 2 if isinstance(hidden, int) and hidden > 0 else [128, 128]
        raise ArgumentError(f"hidden must be a list of widths, one for each layer, such as {such}, got {hidden!r}")
    for width in hidden:
        check_count(hidden=width)
    if residual and len(set(hidden)) > 1:
        raise ArgumentError(f"the hidden layers of a residual network must have one width, got {list(hidden)}")
