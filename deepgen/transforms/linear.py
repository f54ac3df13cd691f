"""Linear map by its LU factors, so that the determinant is a product and the inverse two triangular solves.

    z = L U x + b,     log |det dz/dx| = sum_i s_i

L: unit lower triangular, U: upper triangular with diagonal e^{s_i}, s = a / (1 + |a| / log 1000) bounded as in
`deepgen.transforms.Scale`, since an unbounded diagonal is what makes such a layer singular in training. LU alone
cannot exchange variables: put a `Permutation` before it (Kingma & Dhariwal 2018; Oliva et al. 2018).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.transforms.base import check_event
from deepgen.transforms.univariate import LIMIT, soft_bound


class LULinear(nn.Module):
    """Learned invertible matrix; the identity at the start.

    >>> layer = LULinear(3)
    >>> z, log_det = layer.encode(torch.eye(3))
    >>> torch.equal(z, torch.eye(3)), log_det.tolist()
    (True, [0.0, 0.0, 0.0])
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        check_count(features=features)
        self.features = int(features)
        self.lower = nn.Parameter(torch.zeros(features, features))
        self.upper = nn.Parameter(torch.zeros(features, features))
        self.diagonal = nn.Parameter(torch.zeros(features))
        self.shift = nn.Parameter(torch.zeros(features))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features}

    def _factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """L, U and the logarithms of U's diagonal. Only the strict triangles of the two squares take part."""
        log_diagonal = soft_bound(self.diagonal, LIMIT)
        lower = self.lower.tril(-1) + torch.eye(self.features, dtype=self.lower.dtype, device=self.lower.device)
        return lower, self.upper.triu(1) + log_diagonal.exp().diag(), log_diagonal

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, features] -> ([batch, features], [batch])``."""
        check_event(x, self.features)
        lower, upper, log_diagonal = self._factors()
        return torch.addmm(self.shift, x, (lower @ upper).t()), log_diagonal.sum().expand(len(x))

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of `encode`."""
        check_event(z, self.features)
        lower, upper, log_diagonal = self._factors()
        half = torch.linalg.solve_triangular(lower, (z - self.shift).t(), upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, half, upper=True)
        return x.t(), -log_diagonal.sum().expand(len(z))

    def extra_repr(self) -> str:
        return f"{self.features} features"
