"""Logistic distribution: tails e^{-|z|} on both sides, between a Gaussian's and Student's t.

p(z) = e^{-u} / (s (1 + e^{-u})^2),    F(z) = sigmoid(u),    u = (z - m) / s;    variance s^2 pi^2 / 3
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all


class Logistic(Distribution):
    """Logistic distribution with location m and scale s, which torch lacks.

    >>> Logistic(0.0, 1.0).log_prob(torch.zeros(()))  # -2 log 2
    tensor(-1.3863)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Logistic:
        shape = torch.Size(batch_shape)
        return Logistic(self.loc.expand(shape), self.scale.expand(shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (math.pi**2 / 3)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        u = (value - self.loc) / self.scale
        return -u - 2 * F.softplus(-u) - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return torch.sigmoid((value - self.loc) / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * torch.logit(value)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        uniform = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.icdf(uniform.clamp_min(torch.finfo(uniform.dtype).eps / 4))  # for 0, half of the next: eps / 2

    def entropy(self) -> Tensor:
        return self.scale.log() + 2
