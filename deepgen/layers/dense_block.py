"""Dense block (DenseNet): every layer reads the maps of all layers before it.

    x_l = H_l([x_0, x_1, ..., x_{l-1}]),        the block puts out [x_0, ..., x_L]

H_l is norm, rectifier, convolution of 3 x 3 with ``growth`` maps; with a bottleneck (DenseNet-B) norm, rectifier and
convolution of 1 x 1 with 4 ``growth`` maps come before. Between blocks a `transition` (norm, 1 x 1, mean of 2 x 2)
halves the sides and, in DenseNet-C, the number of maps. Every layer has a short way to the loss, and learns few maps as
none need be learned twice.

Source: Huang, Liu, van der Maaten & Weinberger 2017, "Densely connected convolutional networks", equation 2 and section
3.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.layers.convolution import HE, conv
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve


class DenseBlock(nn.Module):
    """``[rows, inputs, height, width] -> [rows, inputs + layers * growth, height, width]``.

    Args:
        inputs: channels of x_0.
        layers: L.
        growth: maps that each layer adds, k in the paper.
        bottleneck: DenseNet-B.
        generator: source of the initial weights, He's.

    Raises:
        ArgumentError: a setting outside its range.
        ShapeError: in ``forward``, maps of another shape.

    >>> block = DenseBlock(6, layers=3, growth=4, generator=0)
    >>> x = torch.randn(2, 6, 8, 8)
    >>> block(x).shape, torch.equal(block(x)[:, :6], x), block.outputs
    (torch.Size([2, 18, 8, 8]), True, 18)
    """

    def __init__(
        self,
        inputs: int,
        layers: int,
        growth: int,
        *,
        bottleneck: bool = False,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, layers=layers, growth=growth)
        stream, self.inputs = resolve(generator), int(inputs)
        self.outputs = int(inputs + layers * growth)
        self._arguments = {
            "inputs": int(inputs),
            "layers": int(layers),
            "growth": int(growth),
            "bottleneck": bool(bottleneck),
        }
        self.layers = nn.ModuleList()
        for read in range(inputs, self.outputs, growth):
            steps = [(read, 4 * growth, 1), (4 * growth, growth, 3)] if bottleneck else [(read, growth, 3)]
            self.layers.append(nn.Sequential(*(_Step(*step, stream) for step in steps)))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, x: Tensor) -> Tensor:
        check_shape("maps", x, "rows", self.inputs, "height", "width", empty=False)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class _Step(nn.Module):
    """Norm, rectifier, convolution without a bias, as the next norm would take it away."""

    def __init__(self, inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = conv(inputs, outputs, kernel, bias=False, scale=HE, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(self.norm(x)))


def transition(inputs: int, outputs: int, *, generator: torch.Generator | int | None = None) -> nn.Sequential:
    """Norm, convolution of 1 x 1, mean of 2 x 2: ``[rows, inputs, height, width] -> [rows, outputs, half, half]``.

    >>> transition(18, 9, generator=0)(torch.zeros(2, 18, 8, 8)).shape
    torch.Size([2, 9, 4, 4])
    """
    check_count(inputs=inputs, outputs=outputs)
    mixed = conv(inputs, outputs, 1, bias=False, generator=resolve(generator))
    return nn.Sequential(nn.BatchNorm2d(inputs), mixed, nn.AvgPool2d(2))
