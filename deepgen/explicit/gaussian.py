"""Real units: the layer for data that are numbers rather than choices."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.errors import ArgumentError, check_count
from deepgen.explicit.units import check_support
from deepgen.streams import Streams


class Gaussian(nn.Module):
    """``width`` real units: x | f ~ N(f / lambda, 1 / lambda), u(x) = sum lambda x^2 / 2.

    Args:
        width: number of units.
        precision: lambda, one number for all units at the start.
        learned: make log lambda a parameter (one per unit); otherwise it is fixed.

    Two Gaussian layers facing each other have no partition function unless the weights are small beside the precisions;
    `deepgen.evaluate.log_partition` then says +inf.

    >>> Gaussian(1, precision=4.0).mean(torch.tensor([8.0]))
    tensor([2.])
    """

    log_precision: Tensor
    states = None

    support = constraints.real

    def __init__(self, width: int, precision: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        given: Any = precision  # whatever came
        real = isinstance(given, Real) and not isinstance(given, bool)
        if not real or not 0 < given < math.inf:
            raise ArgumentError(f"precision must be positive and finite, got {precision!r}")
        check_count(width=width)
        self.width = int(width)
        self._arguments = {"width": self.width, "precision": float(precision), "learned": bool(learned)}
        start = torch.full((self.width,), math.log(precision))
        if learned:
            self.log_precision = nn.Parameter(start)
        else:
            self.register_buffer("log_precision", start)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def precision(self, like: Tensor) -> Tensor:
        """lambda ``[width]`` in the dtype of ``like``."""
        return self.log_precision.to(like.dtype).exp()

    def energy(self, x: Tensor) -> Tensor:
        """u(x) = sum lambda x^2 / 2 in nats: ``[..., width] -> [...]``."""
        return 0.5 * (self.precision(x) * x.square()).sum(-1)

    def cumulant(self, field: Tensor) -> Tensor:
        """A(f) = sum f^2 / (2 lambda) + log(2 pi / lambda) / 2 in nats: ``[..., width] -> [...]``."""
        precision = self.precision(field)
        return 0.5 * (field.square() / precision + math.log(2 * math.pi) - precision.log()).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        """E[x | f] = f / lambda: ``[..., width] -> [..., width]``."""
        return field / self.precision(field)

    @torch.no_grad()
    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        """x = f / lambda + normal noise of variance 1 / lambda: ``[..., width] -> [..., width]``."""
        if isinstance(generator, Streams):
            noise = generator.normal(field.shape, field.dtype)
        else:
            noise = torch.empty_like(field).normal_(generator=generator)
        return self.mean(field) + noise * self.precision(field).rsqrt()

    def enumerate(self, start: int, stop: int) -> Tensor:
        """Raise `ArgumentError`: real units have no list of states."""
        raise ArgumentError("Gaussian units are not discrete and cannot be enumerated")

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` unless every value is finite."""
        check_support(x, x.isfinite(), "finite")

    def check_mask(self, mask: Tensor) -> None:
        """Every unit stands for itself."""

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        """lambda times the mean: ``[width] -> [width]``."""
        return mean * self.precision(mean)
