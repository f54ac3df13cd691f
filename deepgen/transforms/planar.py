"""Planar map: one direction w is stretched where w.x crosses a plane (Rezende & Mohamed 2015, equations 10 to 12).

    z = x + u' tanh(w.x + b),     log |det dz/dx| = log(1 + (1 - tanh^2(w.x + b)) w.u')

u' is u moved along w until w.u' = -1 + log(1 + e^{w.u}) > -1, which makes the map invertible (their appendix A.1). The
inverse has no closed form and is not offered: ``decode`` says so by name.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import MissingCapability, check_count
from deepgen.layers.linear import linear
from deepgen.random import resolve
from deepgen.transforms.base import Cost, check_event


class Planar(nn.Module):
    """One planar map, from data to code; turn it round by ``Inverse(Planar(...))`` for a flow that has to be sampled.

    Args:
        features: number of variables.
        context: width of a context row that moves u, w and b; 0 for none.
        generator: source of the initial weights.

    >>> z, log_det = Planar(2, generator=0).encode(torch.zeros(3, 2))
    >>> z.shape, log_det.shape
    (torch.Size([3, 2]), torch.Size([3]))
    """

    cost = Cost("closed form", "refused (no closed inverse)")

    def __init__(self, features: int, *, context: int = 0, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        check_count(features=features)
        check_count(0, context=context)
        stream = resolve(generator)
        self.features, self.context = int(features), int(context)
        self.values = nn.Parameter(torch.empty(2 * features + 1).uniform_(-0.5, 0.5, generator=stream))
        self.net = linear(context, 2 * features + 1, bias=False, scale=0.1, generator=stream) if context else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "context": self.context}

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, features] -> ([batch, features], [batch])``."""
        check_event(x, self.features)
        values = self.values.expand(len(x), -1)
        if self.net is not None:
            values = values + self.net(context)
        u, w, b = values.split([self.features, self.features, 1], 1)
        along = (u * w).sum(1, keepdim=True)
        reach = F.softplus(along) - 1  # w.u', above -1
        u = u + (reach - along) * w / w.square().sum(1, keepdim=True).clamp_min(1e-12)
        h = torch.tanh((w * x).sum(1, keepdim=True) + b)
        return x + u * h, torch.log1p((1 - h * h) * reach).squeeze(1)

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Raises `MissingCapability`: a planar map has no inverse in closed form."""
        raise MissingCapability(
            "a Planar map goes one way only: from data to code here, so such a flow has log_prob and no sample. "
            "Inverse(Planar(...)), or PlanarFlow(..., fast='sample'), samples and has no log_prob of given data; "
            "RealNVP, MAF and NSF have both"
        )

    def extra_repr(self) -> str:
        return f"{self.features} features"
