"""Noise on rows, for models that learn to take it away: laws C(x~ | x) that draw and are not scored.

    Masking(rate)            each value is `value`, 0 by default, with chance `rate`
    GaussianNoise(sigma)     x + sigma xi, one sigma for all or one for each column
    SaltAndPepper(rate)      each value is `low` or `high`, equally likely, with chance `rate`

A corruption is any function ``(x [rows, *event], *, generator) -> [rows, *event]``; what it makes need not be a value
that x can take, so that whole numbers become real ones. Source: Vincent et al. 2010, "Stacked denoising autoencoders",
section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_real
from deepgen.random import normal, uniform


class Corruption(Protocol):
    """``corruption(x, *, generator)``: rows with noise on them, of the same shape."""

    def __call__(self, x: Tensor, *, generator: torch.Generator) -> Tensor: ...


@dataclass(frozen=True)
class Masking:
    """Each value is ``value`` with chance ``rate``.

    >>> Masking(1.0)(torch.ones(1, 3), generator=torch.Generator())
    tensor([[0., 0., 0.]])
    """

    rate: float
    value: float = 0.0

    def __post_init__(self) -> None:
        check_real("rate", self.rate, 0, 1)
        check_real("value", self.value)

    def __call__(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        x = _real(x)
        return x.masked_fill(uniform(x.shape, generator=generator, dtype=x.dtype) < self.rate, self.value)


@dataclass(frozen=True)
class GaussianNoise:
    """Normal noise of standard deviation ``sigma``, in the units of the data; several are one for each column.

    >>> GaussianNoise(0.0)(torch.ones(1, 3), generator=torch.Generator())
    tensor([[1., 1., 1.]])
    """

    sigma: float | Sequence[float]

    def __post_init__(self) -> None:
        if isinstance(self.sigma, Sequence):
            object.__setattr__(self, "sigma", tuple(self.sigma))  # so that it is hashed and compared by its numbers
        if isinstance(self.sigma, tuple) and not self.sigma:
            raise ArgumentError("sigma must be a number or one for each column, got none")
        for one in self.sigma if isinstance(self.sigma, tuple) else (self.sigma,):
            check_real("sigma", one, 0)

    def __call__(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        if isinstance(self.sigma, tuple) and x.shape[-1] != len(self.sigma):
            raise ShapeError(f"sigma has {len(self.sigma)} numbers, one for each column, and x is {list(x.shape)}")
        x = _real(x)
        sigma = torch.tensor(self.sigma, dtype=x.dtype, device=x.device)
        return x + sigma * normal(x.shape, generator=generator, dtype=x.dtype)


@dataclass(frozen=True)
class SaltAndPepper:
    """Each value is ``low`` or ``high``, equally likely, with chance ``rate``; a bit so flips with chance rate / 2.

    >>> x = SaltAndPepper(0.5)(torch.full((1000, 1), 0.3), generator=torch.Generator())
    >>> x.unique()
    tensor([0.0000, 0.3000, 1.0000])
    """

    rate: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_real("rate", self.rate, 0, 1)
        check_real("low", self.low)
        check_real("high", self.high)
        if self.low >= self.high:
            raise ArgumentError(f"low must be below high, got {self.low:g} and {self.high:g}")

    def __call__(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        x = _real(x)
        u = uniform(x.shape, generator=generator, dtype=x.dtype)
        return torch.where(u < self.rate / 2, self.low, torch.where(u < self.rate, self.high, x)).to(x.dtype)


def _real(x: Tensor) -> Tensor:
    """Rows of bits and whole numbers in torch's default type; others as they are."""
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())
