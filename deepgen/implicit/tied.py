"""An encoder that is its own decoder: the same weights on the way back, transposed.

    h_0 = x,   h_i = r(W_i h_{i-1} + b_i),   z = W_n h_{n-1} + b_n          (and an activation of its own, if asked)
    z back:    h_{i-1} = r(W_i' h_i + c_i),   numbers = W_1' h_1 + c_1

Half the weights, and no code that only a decoder with large weights could read: with a linear layer and squared errors
the best W has orthonormal rows, as in PCA. Source: Vincent et al. 2010, "Stacked denoising autoencoders", section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ShapeError
from deepgen.layers.dense import Dense


class TiedDense(Dense):
    """`Dense` with a way ``back`` through the transposed weights; `Autoencoder` takes it without a decoder.

    Args:
        inputs, hidden, outputs, activation, last, generator: as for `Dense`. What comes back has one number for each
            value of x, and no activation of its own: likelihoods take logits and means.

    >>> net = TiedDense(6, [4], 2, generator=0)
    >>> net.back(net(torch.zeros(5, 6))).shape, sum(p.numel() for p in net.parameters())  # 32 weights, 6 + 10 biases
    (torch.Size([5, 6]), 48)
    """

    def __init__(
        self,
        inputs: int | Sequence[int],
        hidden: Sequence[int],
        outputs: int,
        *,
        activation: str = "tanh",
        last: str | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__(inputs, hidden, outputs, activation=activation, last=last, generator=generator)
        for name in ("context", "norm", "dropout", "pieces"):
            del self._arguments[name]
        self._arguments["outputs"] = int(outputs)
        widths = [math.prod(self.inputs), *hidden]
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for width in widths)

    def back(self, z: Tensor) -> Tensor:
        """``[rows, outputs] -> [rows, *inputs]``.

        Raises:
            ShapeError: codes of another width.
        """
        if z.shape[1:] != self.outputs:
            raise ShapeError(f"codes must be [rows, {self.outputs[0]}], got {list(z.shape)}")
        for place in range(len(self.layers) - 1, -1, -1):
            layer: Any = self.layers[place]
            z = F.linear(z, layer.weight.t(), self.biases[place])
            if place:
                z = self.activation(z)
        return z.view(len(z), *self.inputs)
