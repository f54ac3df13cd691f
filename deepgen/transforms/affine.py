"""Element-wise affine map with learned shift and scale, the same for every row.

z = (x - b) e^{-s},    log |det dz/dx| = -sum s,        b: ``shift`` [*event], s: ``log_scale`` [*event]
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count


class Affine(nn.Module):
    """Learned shift and scale of each variable; the identity at the start.

    Args:
        features: number of variables, or the shape of an event.
        shift, log_scale: their initial values, alike for all variables.

    >>> z, log_det = Affine(2, shift=1.0, log_scale=0.5).encode(torch.ones(1, 2))
    >>> z.tolist(), log_det.tolist()
    ([[0.0, 0.0]], [-1.0])
    """

    def __init__(self, features: int | tuple[int, ...], *, shift: float = 0.0, log_scale: float = 0.0) -> None:
        super().__init__()
        shape = (features,) if isinstance(features, int) else tuple(features)
        for size in shape:
            check_count(features=size)
        self.shape = shape
        self.shift = nn.Parameter(torch.full(shape, float(shift)))
        self.log_scale = nn.Parameter(torch.full(shape, float(log_scale)))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.shape[0] if len(self.shape) == 1 else list(self.shape)}

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, *event] -> ([batch, *event], [batch])``."""
        return (x - self.shift) * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(x))

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of `encode`."""
        return z * torch.exp(self.log_scale) + self.shift, self.log_scale.sum().expand(len(z))
