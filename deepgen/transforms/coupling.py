"""Coupling: one half of the variables passes unchanged and says how each variable of the other half is mapped.

    z_A = x_A,    z_i = f(x_i; p_i(x_A, context)) for i in B,    log |det| = sum over B of log f'

Both directions cost one network pass. With `Shift` it is the additive coupling of NICE, with `Scale` the affine one
of RealNVP, with `Spline` that of neural spline flows (Durkan et al. 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.layers.mlp import MLP, check_hidden
from deepgen.random import resolve
from deepgen.transforms.base import Cost, check_event
from deepgen.transforms.univariate import Scale, Univariate


class Coupling(nn.Module):
    """Maps the variables that ``mask`` marks, by parameters computed from the others.

    Args:
        features: number of variables, at least 2.
        mask: ``[features]``, True for the variables that are mapped (set B); alternate ones from the second on if None.
        univariate: the map of one variable.
        hidden, residual: of the network, see `deepgen.layers.MLP`.
        context: width of a context row, 0 for none.
        generator: source of the initial weights; a new coupling is close to the identity.

    >>> coupling = Coupling(4, generator=0)
    >>> z, log_det = coupling.encode(torch.ones(2, 4))
    >>> torch.allclose(coupling.decode(z)[0], torch.ones(2, 4))
    True
    """

    cost = Cost("1 network pass", "1 network pass")
    univariate: Univariate
    kept: Tensor
    moved: Tensor
    back: Tensor

    def __init__(
        self,
        features: int,
        *,
        mask: Sequence[bool] | Tensor | None = None,
        univariate: Univariate | None = None,
        hidden: Sequence[int] = (128, 128),
        residual: bool = False,
        context: int = 0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(2, features=features)
        check_count(0, context=context)
        mapped = torch.arange(features) % 2 == 1 if mask is None else torch.as_tensor(mask, dtype=torch.bool)
        if mapped.shape != (features,) or not 0 < int(mapped.sum()) < features:
            raise ArgumentError(f"mask must mark some but not all of the {features} variables, got {mapped.tolist()}")
        check_hidden(hidden, residual)
        self.features, self.hidden, self.residual, self.context = features, list(hidden), residual, context
        self.univariate = Scale() if univariate is None else univariate
        kept, moved = (~mapped).nonzero().squeeze(1), mapped.nonzero().squeeze(1)
        self.register_buffer("kept", kept, persistent=False)
        self.register_buffer("moved", moved, persistent=False)
        self.register_buffer("back", torch.cat([kept, moved]).argsort(), persistent=False)
        self.net = MLP(
            len(kept) + context,
            self.univariate.count,
            len(moved),
            hidden=hidden,
            residual=residual,
            generator=resolve(generator),
        )

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        mask = [i in self.moved.tolist() for i in range(self.features)]
        return {"features": self.features, "mask": mask, "univariate": self.univariate, "hidden": self.hidden,
                "residual": self.residual, "context": self.context}  # fmt: skip

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, features] -> ([batch, features], [batch])``."""
        return self._map(x, context, self.univariate.encode)

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of `encode`, at the same cost."""
        return self._map(z, context, self.univariate.decode)

    def _map(self, x: Tensor, context: Tensor | None, f: Any) -> tuple[Tensor, Tensor]:
        check_event(x, self.features)
        rows = x.t()  # feature-major, as the parameters are: whole rows are picked, and no single numbers
        kept, moved = rows.index_select(0, self.kept), rows.index_select(0, self.moved)
        p = self.net(kept.t() if context is None else torch.cat([kept.t(), context], 1))
        moved, log_slope = f(moved, p)
        return torch.cat([kept, moved]).index_select(0, self.back).t(), log_slope.sum(0)
