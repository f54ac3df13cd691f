"""Inception module: kernels of several sizes side by side, their maps joined.

    [ r(A_1 x),   r(A_3 r(B_3 x)),   r(A_5 r(B_5 x)),   r(A_p pool(x)) ]          joined along channels

A_1, A_p and the reductions B are convolutions of 1 x 1, A_3 and A_5 of 3 x 3 and 5 x 5, pool takes the greatest of
3 x 3, and all keep the size of an image. The reductions make the large kernels cheap: of the weights of 5 x 5 kernels,
c_in c_out 25, they leave c_in b + 25 b c_out. Batch normalisation, if wanted, stands before each activation (Ioffe &
Szegedy 2015, section 4.2).

Source: Szegedy et al. 2015, "Going deeper with convolutions", figure 2b; its first module, called 3a, is
``Inception(192, 64, (96, 128), (16, 32), 32)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.layers.activations import activation_of
from deepgen.layers.convolution import HE, conv
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve


class Inception(nn.Module):
    """``[rows, inputs, height, width] -> [rows, outputs, height, width]``, outputs = one + three + five + pool.

    Args:
        inputs: channels.
        one: channels of A_1.
        three, five: pairs: channels of the reduction and of the convolution after it.
        pool: channels of A_p.
        norm: batch normalisation.
        activation: a name, as for `Dense`.
        generator: source of the initial weights, He's.

    Raises:
        ArgumentError, UnknownName: a setting outside its range.
        ShapeError: in ``forward``, maps of another shape.

    >>> block = Inception(8, 4, (3, 6), (2, 3), 3, generator=0)
    >>> block(torch.zeros(2, 8, 7, 7)).shape, block.outputs
    (torch.Size([2, 16, 7, 7]), 16)
    """

    def __init__(
        self,
        inputs: int,
        one: int,
        three: Sequence[int],
        five: Sequence[int],
        pool: int,
        *,
        norm: bool = False,
        activation: str = "relu",
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        for name, pair in (("three", three), ("five", five)):
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise ArgumentError(f"{name} must be two numbers of channels, reduced and put out, got {pair!r}")
            check_count(**{name: pair[0]})
            check_count(**{name: pair[1]})
        check_count(inputs=inputs, one=one, pool=pool)
        self.inputs = int(inputs)
        self.activation, stream = activation_of(activation), resolve(generator)
        self.outputs = int(one + three[1] + five[1] + pool)
        self._arguments = {"inputs": int(inputs), "one": int(one), "three": list(three), "five": list(five),
                           "pool": int(pool), "norm": bool(norm), "activation": activation}  # fmt: skip
        shapes = {
            "one": (inputs, one, 1),
            "three_reduced": (inputs, three[0], 1),
            "three": (*three, 3),
            "five_reduced": (inputs, five[0], 1),
            "five": (*five, 5),
            "pool": (inputs, pool, 1),
        }
        self.convolutions = nn.ModuleDict(
            {name: conv(*shape, bias=not norm, scale=HE, generator=stream) for name, shape in shapes.items()}
        )
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(shape[1]) for name, shape in shapes.items()} if norm else {})

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, x: Tensor) -> Tensor:
        check_shape("maps", x, "rows", self.inputs, "height", "width", empty=False)
        three = self._through("three", self._through("three_reduced", x))
        five = self._through("five", self._through("five_reduced", x))
        pooled = self._through("pool", F.max_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([self._through("one", x), three, five, pooled], 1)

    def _through(self, name: str, x: Tensor) -> Tensor:
        h = self.convolutions[name](x)
        return self.activation(self.norms[name](h) if self.norms else h)
