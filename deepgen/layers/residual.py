"""Residual block: what a pair of convolutions adds to the maps that pass it by.

    pre-activation (the default):   h + B r(N(A r(N(h))))               He et al. 2016b, figure 4e, equation 3
    original:                       r(h + N(B r(N(A h))))               He et al. 2016a, figure 2, equation 1

A and B are convolutions of 3 x 3 that keep the size of an image, N batch normalisation where wanted (then A and B have
no biases), r an activation. Without norms B = 0 at the start, and in the pre-activation form every block begins as the
identity (Zhang, Dauphin & Ma 2019, "Fixup initialization"); with norms it begins as torch's and He's do.

Sources: He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition" (a) and "Identity mappings in deep
residual networks" (b).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.layers.activations import activation_of
from deepgen.layers.convolution import HE, conv
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve


class ResidualBlock(nn.Module):
    """``[rows, width, height, side]`` to maps of the same shape.

    Args:
        width: channels.
        norm: batch normalisation.
        original: the form of 2016a, with the activation after the sum.
        activation: a name, as for `Dense`.
        generator: source of the initial weights.

    Raises:
        ArgumentError, UnknownName: a setting outside its range.
        ShapeError: in ``forward``, maps of another shape.

    >>> block, x = ResidualBlock(4, generator=0), torch.randn(2, 4, 6, 6)
    >>> torch.equal(block(x), x), block.outputs  # at the start
    (True, 4)
    """

    def __init__(
        self,
        width: int,
        *,
        norm: bool = False,
        original: bool = False,
        activation: str = "leaky_relu",
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(width=width)
        self.width = self.inputs = self.outputs = int(width)
        stream, self.activation, self.original = resolve(generator), activation_of(activation), bool(original)
        self._arguments = {"width": int(width), "norm": bool(norm), "original": self.original, "activation": activation}
        self.a = conv(width, width, 3, bias=not norm, scale=HE, generator=stream)
        self.b = conv(width, width, 3, bias=not norm, scale=HE if norm else 0.0, generator=stream)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2)) if norm else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, h: Tensor) -> Tensor:
        if self.norms is not None or h.ndim != 3:  # without norms an image may stand alone, as in torch.func.vmap
            check_shape("maps", h, "rows", self.width, "height", "width", empty=False)
        else:
            check_shape("maps", h, self.width, "height", "width", empty=False)
        r = self.activation
        first, second = (nn.Identity(), nn.Identity()) if self.norms is None else self.norms
        if self.original:
            return r(h + second(self.b(r(first(self.a(h))))))
        return h + self.b(r(second(self.a(r(first(h))))))
