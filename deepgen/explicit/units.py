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
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, SupportError


@runtime_checkable
class Units(Protocol):
    """One layer of units. Fields and values are ``[..., width]``, energies and cumulants ``[...]`` in nats."""

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
        """x drawn from p(x | f): ``[..., width]``."""

    def enumerate(self, start: int, stop: int) -> Tensor:
        """The states numbered ``start`` to ``stop - 1``, float64: ``[stop - start, width]``."""

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` where ``x`` holds a value that the layer cannot take."""

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        """The field of independent units that have the ``mean`` ``[width]`` of ``n`` data rows, kept finite."""


class Bernoulli(nn.Module):
    """``width`` binary units with values in {0, 1}: A(f) = sum log(1 + e^f).

    >>> Bernoulli(3).cumulant(torch.zeros(3))  # 3 log 2
    tensor(2.0794)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = _positive("width", width)
        self.states = 2**width

    def arguments(self) -> dict[str, Any]:
        return {"width": self.width}

    def energy(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1])

    def cumulant(self, field: Tensor) -> Tensor:
        return F.softplus(field).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        return field.sigmoid()

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        return (_uniform(field, generator) < field.sigmoid()).to(field.dtype)

    def enumerate(self, start: int, stop: int) -> Tensor:
        return _digits(start, stop, 2, self.width).double()

    def check(self, x: Tensor) -> None:
        _check_support(x, (x == 0) | (x == 1), "0 or 1 (binarise the data first)")

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        rate = (mean * n + 0.5) / (n + 1)  # half a row of each value: a constant column stays finite
        return rate.logit()


class Spin(nn.Module):
    """``width`` binary units with values in {-1, +1}: A(f) = sum log(2 cosh f).

    >>> Spin(2).mean(torch.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = _positive("width", width)
        self.states = 2**width

    def arguments(self) -> dict[str, Any]:
        return {"width": self.width}

    def energy(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1])

    def cumulant(self, field: Tensor) -> Tensor:
        return (field.abs() + F.softplus(-2 * field.abs())).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        return field.tanh()

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        return (_uniform(field, generator) < (2 * field).sigmoid()).to(field.dtype) * 2 - 1

    def enumerate(self, start: int, stop: int) -> Tensor:
        return _digits(start, stop, 2, self.width).double() * 2 - 1

    def check(self, x: Tensor) -> None:
        _check_support(x, (x == -1) | (x == 1), "-1 or +1")

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        rate = ((mean + 1) / 2 * n + 0.5) / (n + 1)
        return rate.logit() / 2


class Softmax(nn.Module):
    """``groups`` one-of-``categories`` units, each written one-hot: width = groups * categories.

    Ratings, amino acids or labels go here (a visible Softmax layer makes a Potts machine).

    >>> Softmax(groups=2, categories=3).cumulant(torch.zeros(6))  # 2 log 3
    tensor(2.1972)
    """

    def __init__(self, groups: int, categories: int) -> None:
        super().__init__()
        self.groups = _positive("groups", groups)
        self.categories = _positive("categories", categories)
        self.width = groups * categories
        self.states = categories**groups

    def arguments(self) -> dict[str, Any]:
        return {"groups": self.groups, "categories": self.categories}

    def _grouped(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.groups, self.categories))

    def energy(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1])

    def cumulant(self, field: Tensor) -> Tensor:
        return self._grouped(field).logsumexp(-1).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        return self._grouped(field).softmax(-1).flatten(-2)

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        # Gumbel-max; the exponential race -log(u) > 0 is kept away from log(0) by the smallest normal number.
        race = _uniform(field, generator).clamp_min_(torch.finfo(field.dtype).tiny).log_().neg_()
        winner = self._grouped(field - race.clamp_min_(torch.finfo(field.dtype).tiny).log()).argmax(-1)
        return F.one_hot(winner, self.categories).to(field.dtype).flatten(-2)

    def enumerate(self, start: int, stop: int) -> Tensor:
        digits = _digits(start, stop, self.categories, self.groups)
        return F.one_hot(digits, self.categories).double().flatten(-2)

    def check(self, x: Tensor) -> None:
        grouped = self._grouped(x)
        one_hot = ((grouped == 0) | (grouped == 1)).all(-1) & (grouped.sum(-1) == 1)
        _check_support(x, one_hot, f"one-hot groups of {self.categories}")

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        return ((mean * n + 1 / self.categories) / (n + 1)).log()


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

    def __init__(self, width: int, precision: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        if not (precision > 0 and math.isfinite(precision)):
            raise ArgumentError(f"precision must be positive and finite, got {precision}")
        self.width = _positive("width", width)
        self._arguments = {"width": width, "precision": precision, "learned": learned}
        start = torch.full((width,), math.log(precision))
        if learned:
            self.log_precision = nn.Parameter(start)
        else:
            self.register_buffer("log_precision", start)

    def arguments(self) -> dict[str, Any]:
        return dict(self._arguments)

    def precision(self, like: Tensor) -> Tensor:
        """lambda ``[width]`` in the dtype of ``like``."""
        return self.log_precision.to(like.dtype).exp()

    def energy(self, x: Tensor) -> Tensor:
        return 0.5 * (self.precision(x) * x.square()).sum(-1)

    def cumulant(self, field: Tensor) -> Tensor:
        precision = self.precision(field)
        return 0.5 * (field.square() / precision + math.log(2 * math.pi) - precision.log()).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        return field / self.precision(field)

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        noise = torch.empty_like(field).normal_(generator=generator)
        return self.mean(field) + noise * self.precision(field).rsqrt()

    def enumerate(self, start: int, stop: int) -> Tensor:
        raise ArgumentError("Gaussian units are not discrete and cannot be enumerated")

    def check(self, x: Tensor) -> None:
        _check_support(x, x.isfinite(), "finite")

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        return mean * self.precision(mean)


class Product(nn.Module):
    """Layers of different kinds side by side in one layer: ``Product(Bernoulli(5), Gaussian(2), Softmax(1, 3))``.

    Values and fields are the parts' joined along the last axis, in the order given.

    >>> Product(Bernoulli(5), Gaussian(2), Softmax(1, 3)).width
    10
    """

    def __init__(self, *parts: Units) -> None:
        super().__init__()
        if not parts:
            raise ArgumentError("a Product needs at least one layer of units")
        self.parts: Sequence[Units] = nn.ModuleList(parts)  # type: ignore[arg-type, assignment]
        self.widths = [part.width for part in parts]
        self.width = sum(self.widths)

    @property
    def states(self) -> int | None:
        counts = [part.states for part in self.parts]
        return None if None in counts else math.prod(c for c in counts if c is not None)

    def arguments(self) -> dict[str, Any]:
        return {"*": list(self.parts)}

    def _total(self, method: Callable[[Units], Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
        blocks = zip(self.parts, x.split(self.widths, -1), strict=True)
        return torch.stack([method(part)(block) for part, block in blocks]).sum(0)

    def energy(self, x: Tensor) -> Tensor:
        return self._total(lambda part: part.energy, x)

    def cumulant(self, field: Tensor) -> Tensor:
        return self._total(lambda part: part.cumulant, field)

    def mean(self, field: Tensor) -> Tensor:
        blocks = zip(self.parts, field.split(self.widths, -1), strict=True)
        return torch.cat([part.mean(block) for part, block in blocks], -1)

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        blocks = zip(self.parts, field.split(self.widths, -1), strict=True)
        return torch.cat([part.sample(block, generator=generator) for part, block in blocks], -1)

    def enumerate(self, start: int, stop: int) -> Tensor:
        index, columns = torch.arange(start, stop), []
        for part in self.parts:  # mixed radix, the first part turning fastest
            count = part.states
            if count is None:
                raise ArgumentError(f"{type(part).__name__} units are not discrete and cannot be enumerated")
            columns.append(part.enumerate(0, count)[index % count])
            index = index // count
        return torch.cat(columns, -1)

    def check(self, x: Tensor) -> None:
        for part, block in zip(self.parts, x.split(self.widths, -1), strict=True):
            part.check(block)

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        blocks = zip(self.parts, mean.split(self.widths, -1), strict=True)
        return torch.cat([part.base_field(block, n) for part, block in blocks], -1)


class UnitDistribution(torch.distributions.Distribution):
    """p(x | f) of any layer of units as a torch Distribution: batch ``field.shape[:-1]``, event ``[width]``.

    ``sample`` follows torch's convention and draws from the global stream; `deepgen.random.draw` samples it under a
    generator.

    >>> UnitDistribution(Bernoulli(2), torch.zeros(2)).log_prob(torch.ones(2))  # 2 log(1/2)
    tensor(-1.3863)
    """

    arg_constraints: ClassVar[dict[str, torch.distributions.constraints.Constraint]] = {}

    def __init__(self, units: Units, field: Tensor) -> None:
        self.units, self.field = units, field
        super().__init__(field.shape[:-1], field.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.units.mean(self.field)

    def log_prob(self, value: Tensor) -> Tensor:
        return (self.field * value).sum(-1) - self.units.energy(value) - self.units.cumulant(self.field)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        field = self.field.expand(*sample_shape, *self.field.shape).contiguous()
        with torch.no_grad():
            return self.units.sample(field, generator=None)


def as_units(units: int | Units, name: str) -> Units:
    """Turn an int into that many Bernoulli units; pass a layer of units through."""
    if isinstance(units, Units):
        return units
    if isinstance(units, int) and not isinstance(units, bool):
        return Bernoulli(units)
    raise ArgumentError(f"{name} must be a number of Bernoulli units or a layer such as Gaussian(64), got {units!r}")


def check_values(units: Units, x: Tensor, name: str) -> None:
    """Raise `ShapeError` or `SupportError` unless ``x`` is ``[rows, width]`` of values that ``units`` can take."""
    if x.ndim != 2 or x.shape[1] != units.width or len(x) == 0:
        raise ShapeError(f"{name} must be [rows, {units.width}] with at least one row, got {list(x.shape)}")
    units.check(x)


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name} must be a positive integer, got {value!r}")
    return value


def _uniform(field: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.empty_like(field).uniform_(generator=generator)


def _digits(start: int, stop: int, radix: int, width: int) -> Tensor:
    """Numbers ``start`` to ``stop - 1`` in base ``radix``, least digit first: ``[stop - start, width]``."""
    return torch.arange(start, stop).unsqueeze(-1) // radix ** torch.arange(width) % radix


def _check_support(x: Tensor, good: Tensor, expected: str) -> None:
    if not bool(good.all()):
        wrong = x[~good].reshape(-1) if good.shape == x.shape else x[~good.all(-1)][0]
        raise SupportError(f"values must be {expected}; got {wrong[0].item():g} among {x.numel()} numbers")
