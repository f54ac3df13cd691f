"""p(x | field) of a layer of units as a torch Distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from deepgen.explicit.units import Units


class UnitDistribution(Distribution):
    """p(x | f) = exp(f.x - u(x) - A(f)) of any layer: batch ``field.shape[:-1]``, event ``[width]``.

    ``sample`` follows torch's convention and draws from the global stream; `deepgen.random.draw` samples it under a
    generator. ``log_prob`` (nats) does not check that the value is one the layer can take: ``units.check`` does.

    Args:
        units: the layer.
        field: f, ``[..., width]``.

    >>> from deepgen.explicit import Bernoulli
    >>> UnitDistribution(Bernoulli(2), torch.zeros(2)).log_prob(torch.ones(2))  # 2 log(1/2)
    tensor(-1.3863)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, units: Units, field: Tensor) -> None:
        self.units, self.field = units, field
        super().__init__(field.shape[:-1], field.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """E[x | f]: ``[..., width]``."""
        return self.units.mean(self.field)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value | f) in nats: ``[..., width] -> [...]``."""
        return (self.field * value).sum(-1) - self.units.energy(value) - self.units.cumulant(self.field)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw from the global stream: ``[*sample_shape, ..., width]``."""
        field = self.field.expand(*sample_shape, *self.field.shape).contiguous()
        return self.units.sample(field, generator=None)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> UnitDistribution:
        """The same law with its batch broadcast to ``batch_shape``."""
        return UnitDistribution(self.units, self.field.expand(*batch_shape, self.units.width))

    def __repr__(self) -> str:
        return f"UnitDistribution({self.units}, field: {list(self.field.shape)})"
