"""A generator of bits or of grey levels: grey while it trains, so that gradients pass, rounded when it draws.

    training:    x in [0, 1]
    evaluation:  x rounded to the nearest of 0, 1 / (L - 1), ..., 1

A discriminator that sees bits beside grey values tells them apart by that alone, so the generator learns to put out
values near the levels, and little is lost by rounding. `deepgen.implicit.GAN` draws in evaluation mode.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.implicit.vae import check_module


class Rounded(nn.Module):
    """``net`` with its values rounded to ``levels`` levels from 0 to 1 in evaluation mode.

    Args:
        net: a network whose values lie in [0, 1], or with ``squash`` any, which a sigmoid brings there.
        levels: how many, L; 2 for bits.
        squash: whether to put a sigmoid behind ``net``.

    Raises:
        ArgumentError: ``net`` is no module, or fewer than two levels.

    >>> generator = Rounded(nn.Identity(), squash=True)
    >>> generator(torch.zeros(1, 2)), generator.eval()(torch.tensor([[-1.0, 3.0]]))
    (tensor([[0.5000, 0.5000]]), tensor([[0., 1.]]))
    """

    def __init__(self, net: nn.Module, levels: int = 2, *, squash: bool = False) -> None:
        super().__init__()
        check_module("net", net)
        check_count(2, levels=levels)
        self.net, self.levels, self.squash = net, int(levels), bool(squash)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"net": self.net, "levels": self.levels, "squash": self.squash}

    def forward(self, z: Tensor, *context: Tensor) -> Tensor:
        x: Tensor = self.net(z, *context)
        x = torch.sigmoid(x) if self.squash else x
        return x if self.training else (x * (self.levels - 1)).round() / (self.levels - 1)
