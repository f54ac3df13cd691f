"""The layers of a Boltzmann machine as an algebra: own energy, cumulant function, sampler.

A layer of units x sees a field f (its bias plus what the other layer sends) and answers with

    p(x | f) = exp(f . x - u(x) - A(f)),        A(f) = log sum_x exp(f . x - u(x)),

u(x) being the layer's own energy (the sum is an integral for real units). Free energies, conditionals, gradients and
partition functions of a Boltzmann machine need only u, A, its gradient (the mean) and a sampler, so they are written
once for any pair of layers. An inverse temperature multiplies fields and leaves u alone: for discrete units, where
u = 0, that is the energy times beta; for Gaussian units it is a path that stays normalisable down to beta = 0.

    kind       values x          u(x)              A(f)
    Bernoulli  {0, 1}            0                 sum log(1 + e^f)
    Spin       {-1, +1}          0                 sum log(2 cosh f)
    Softmax    one-hot groups    0                 sum over groups of logsumexp f
    Gaussian   real              lambda x^2 / 2    sum f^2 / (2 lambda) + log(2 pi / lambda) / 2
    Product    blocks, joined    summed            summed

Fields and values are ``[..., width]``; u and A are in nats, ``[...]``. Source: Welling, Rosen-Zvi & Hinton 2004,
"Exponential family harmoniums with an application to information retrieval", equations 1 to 6.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.distributions.constraints import spin
from deepgen.errors import MISSING, ArgumentError, ShapeError, SupportError, check_count
from deepgen.random import resolve
from deepgen.streams import Streams

_LINEAR = 40.0  # log(1 + e^x) is x to the last bit of float64 from here on; torch's own switch at 20 is off by 2e-9


@runtime_checkable
class Units(Protocol):
    """One layer of units. Fields and values are ``[..., width]``, energies and cumulants ``[...]`` in nats.

    >>> isinstance(Bernoulli(3), Units)
    True
    """

    width: int

    @property
    def states(self) -> int | None:
        """How many joint states the layer has; None when it is not discrete."""

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments."""

    def energy(self, x: Tensor) -> Tensor:
        """u(x)."""

    def cumulant(self, field: Tensor) -> Tensor:
        """A(f)."""

    def mean(self, field: Tensor) -> Tensor:
        """E[x | f], the gradient of A: ``[..., width]``."""

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        """x drawn from p(x | f), without gradient: ``[..., width]``."""

    def enumerate(self, start: int, stop: int) -> Tensor:
        """The states numbered ``start`` to ``stop - 1``, float64: ``[stop - start, width]``."""

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` where ``x`` holds a value that the layer cannot take."""

    def check_mask(self, mask: Tensor) -> None:
        """Raise `ArgumentError` where a ``mask`` ``[..., width]`` parts entries that have values only together."""

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        """The field of independent units that have the ``mean`` ``[width]`` of ``n`` data rows, kept finite."""


class Bernoulli(nn.Module):
    """``width`` binary units with values in {0, 1}: A(f) = sum log(1 + e^f).

    >>> Bernoulli(3).cumulant(torch.zeros(3))  # 3 log 2
    tensor(2.0794)
    """

    support = constraints.boolean

    def __init__(self, width: int) -> None:
        super().__init__()
        check_count(width=width)
        self.width = int(width)
        self.states = 2**self.width

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"width": self.width}

    def energy(self, x: Tensor) -> Tensor:
        """u(x) = 0: ``[..., width] -> [...]``."""
        return x.new_zeros(x.shape[:-1])

    def cumulant(self, field: Tensor) -> Tensor:
        """A(f) = sum log(1 + e^f) in nats: ``[..., width] -> [...]``."""
        return F.softplus(field, threshold=_LINEAR).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        """E[x | f] = 1 / (1 + e^-f): ``[..., width] -> [..., width]``."""
        return field.sigmoid()

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        """x = 1 where a uniform number is below E[x | f]: ``[..., width] -> [..., width]``."""
        return (uniform_like(field, generator) < field.sigmoid()).to(field.dtype)

    def enumerate(self, start: int, stop: int) -> Tensor:
        """Rows ``start`` to ``stop - 1`` of all binary numbers, first unit fastest: ``[stop - start, width]``."""
        return digits(start, stop, 2, self.width).double()

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` unless every value is 0 or 1."""
        check_support(x, (x == 0) | (x == 1), "0 or 1 (binarise the data first)")

    def check_mask(self, mask: Tensor) -> None:
        """Every unit stands for itself."""

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        """log(r / (1 - r)), r being the mean with half a row of each value added: ``[width] -> [width]``."""
        return ((mean * n + 0.5) / (n + 1)).logit()


class Spin(nn.Module):
    """``width`` binary units with values in {-1, +1}: A(f) = sum log(2 cosh f).

    >>> Spin(2).mean(torch.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """

    support = spin

    def __init__(self, width: int) -> None:
        super().__init__()
        check_count(width=width)
        self.width = int(width)
        self.states = 2**self.width

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"width": self.width}

    def energy(self, x: Tensor) -> Tensor:
        """u(x) = 0: ``[..., width] -> [...]``."""
        return x.new_zeros(x.shape[:-1])

    def cumulant(self, field: Tensor) -> Tensor:
        """A(f) = sum log(2 cosh f) in nats: ``[..., width] -> [...]``."""
        return (F.softplus(2 * field, threshold=_LINEAR) - field).sum(-1)  # smooth at 0, unlike a form with |f|

    def mean(self, field: Tensor) -> Tensor:
        """E[x | f] = tanh f: ``[..., width] -> [..., width]``."""
        return field.tanh()

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        """x = 1 with probability 1 / (1 + e^-2f), else -1: ``[..., width] -> [..., width]``."""
        return (uniform_like(field, generator) < (2 * field).sigmoid()).to(field.dtype) * 2 - 1

    def enumerate(self, start: int, stop: int) -> Tensor:
        """Rows ``start`` to ``stop - 1`` of all states, first unit fastest: ``[stop - start, width]``."""
        return digits(start, stop, 2, self.width).double() * 2 - 1

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` unless every value is -1 or +1."""
        check_support(x, (x == -1) | (x == 1), "-1 or +1")

    def check_mask(self, mask: Tensor) -> None:
        """Every unit stands for itself."""

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        """artanh of the mean with half a row of each value added: ``[width] -> [width]``."""
        rate = ((mean + 1) / 2 * n + 0.5) / (n + 1)
        return rate.logit() / 2


def as_units(units: int | Units, name: str) -> Units:
    """Turn an int into that many Bernoulli units; pass a layer of units through."""
    if isinstance(units, Units):
        return units
    if isinstance(units, int | np.integer) and not isinstance(units, bool):
        check_count(**{name: units})
        return Bernoulli(int(units))
    raise ArgumentError(f"{name} must be a number of Bernoulli units or a layer such as Gaussian(64), got {units!r}")


def check_values(units: Units, x: Tensor, name: str) -> None:
    """Raise `ShapeError` or `SupportError` unless ``x`` is ``[rows, width]`` of values that ``units`` can take."""
    require_tensor(x, name)
    if x.ndim != 2 or x.shape[1] != units.width or len(x) == 0:
        raise ShapeError(f"{name} must be [rows, {units.width}] with at least one row, got {list(x.shape)}")
    units.check(x)


def as_values(units: Units, x: Tensor, name: str, like: Tensor) -> Tensor:
    """``x`` ``[..., width]`` in the dtype of ``like`` (data may be bool, uint8 or of another precision), or raise.

    Only the shape is looked at.

    >>> as_values(Bernoulli(2), torch.tensor([[True, False]]), "v", torch.zeros(1))
    tensor([[1., 0.]])
    """
    check_width(units, x, name)
    return x.to(like.dtype)


def check_width(units: Units, x: Tensor, name: str) -> None:
    """Raise `ShapeError` unless ``x`` is a tensor ``[..., width]``."""
    require_tensor(x, name)
    if x.ndim < 1 or x.shape[-1] != units.width:
        raise ShapeError(f"{name} must be [..., {units.width}], got {list(x.shape)}")


def check_seen(units: Units, x: Tensor, name: str) -> None:
    """`check_values` of what there is: NaN is a missing value, which a Softmax group has in all its entries or none."""
    require_tensor(x, name)
    seen = ~x.isnan()
    if x.ndim == 2 and x.shape[1] == units.width and not bool(seen.all()):
        units.check_mask(seen)
        x = torch.where(seen, x, units.sample(torch.zeros_like(x), generator=resolve(0, x.device)))
    check_values(units, x, name)


def base_rates(units: Units, x: Tensor, like: Tensor) -> Tensor:
    """The field of independent units with the column means of ``x`` ``[rows, width]``, NaN entries left out."""
    check_seen(units, x, "data")
    x = x.to(like)
    mean = x.nanmean(0)
    if bool(mean.isnan().any()):
        empty = mean.isnan().nonzero().flatten().tolist()
        raise SupportError(f"column {empty[0]} of the data is NaN in all rows ({len(empty)} columns are): leave it out")
    return units.base_field(mean, len(x))


def require_tensor(x: object, name: str) -> None:
    """Raise `ShapeError` when ``x`` is an array, a list, or anything else but a tensor."""
    if not isinstance(x, Tensor):
        raise ShapeError(f"{name} must be a tensor, got {type(x).__name__}; deepgen.data.as_tensor(x) makes one")


def uniform_like(field: Tensor, generator: torch.Generator | None) -> Tensor:
    if isinstance(generator, Streams):
        return generator.uniform(field.shape, field.dtype)
    return torch.empty_like(field).uniform_(generator=generator)


def digits(start: int, stop: int, radix: int, width: int) -> Tensor:
    """Numbers ``start`` to ``stop - 1`` in base ``radix``, least digit first: ``[stop - start, width]``."""
    # powers are capped where no 64-bit number reaches them, so wide layers can be entered too
    powers = torch.tensor([min(radix**place, 2**63 - 1) for place in range(width)])
    return torch.arange(start, stop).unsqueeze(-1) // powers % radix


def levels_in(x: Tensor, levels: int) -> Tensor:
    """Where ``x`` is a whole number from 0 to ``levels`` - 1: bool, in the shape of ``x``.

    >>> levels_in(torch.tensor([1.0, 0.5, 3.0]), 3), levels_in(torch.tensor([True]), 3)
    (tensor([ True, False, False]), tensor([True]))
    """
    good = (x >= 0) & (x < levels)
    return good & (x == x.round()) if x.is_floating_point() else good  # torch rounds no bools


def check_levels(x: Tensor, levels: int) -> None:
    """Raise `SupportError` unless every value is a whole number from 0 to ``levels`` - 1."""
    check_support(x, levels_in(x, levels), f"whole numbers from 0 to {levels - 1}")


def check_support(x: Tensor, good: Tensor, expected: str) -> None:
    """Raise `SupportError`, naming the first offender, unless the mask ``good`` ``[*x.shape]`` is all True."""
    if not bool(good.all()):
        places = (~good).nonzero()
        first = places[0].tolist()
        value = x[tuple(first)].item()
        advice = f": {MISSING}" if math.isnan(value) else ""
        raise SupportError(
            f"values must be {expected}; got {value:g} at {first}, one of {len(places)} such numbers{advice}"
        )
