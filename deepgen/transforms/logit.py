"""From the unit cube to all of space, the usual first layer of a flow on pixels.

    z = log p - log q,   p = a + (1 - 2a) x,   q = a + (1 - 2a) (1 - x) = 1 - p,
    log dz/dx = log(1 - 2a) - log p - log q

a > 0 keeps x = 0 and x = 1 finite, however small it is, as q is not taken from a rounded p (Dinh et al. 2017; a = 1e-6
for MNIST in Papamakarios et al. 2017).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.errors import ArgumentError


class Logit(nn.Module):
    """Element-wise logit of values in [0, 1] (for ``alpha`` = 0 in the open interval).

    >>> z, log_det = Logit(alpha=0.0).encode(torch.full((1, 2), 0.5))
    >>> z.tolist(), round(log_det.item(), 4)  # 2 log 4
    ([[0.0, 0.0]], 2.7726)
    """

    def __init__(self, alpha: float = 1e-6) -> None:
        super().__init__()
        if not 0 <= alpha < 0.5:
            raise ArgumentError(f"alpha must lie in [0, 0.5), got {alpha}")
        self.alpha = float(alpha)

    @property
    def domain(self) -> Any:
        """The interval whose values stay finite: a little wider than [0, 1] for ``alpha`` > 0."""
        margin = self.alpha / (1 - 2 * self.alpha)
        return constraints.interval(-margin, 1 + margin)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"alpha": self.alpha}

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, *event] -> ([batch, *event], [batch])``."""
        a, slope = self.alpha, 1 - 2 * self.alpha
        z = torch.log(a + slope * x) - torch.log(a + slope * (1 - x))
        return z, self._log_slope(z)

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of `encode`."""
        return (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha), -self._log_slope(z)

    def _log_slope(self, z: Tensor) -> Tensor:
        # -log p - log(1 - p) from z itself, which keeps what p near 1 has lost
        return (F.softplus(z) + F.softplus(-z) + math.log1p(-2 * self.alpha)).flatten(1).sum(1)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}"
