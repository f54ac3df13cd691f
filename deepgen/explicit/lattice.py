"""Ising and Potts models on a grid: spins that interact with their neighbours.

    Ising   x_i in {-1, +1}:      log f(x) = sum_<ij> J_ij x_i x_j       + sum_i h_i x_i
    Potts   x_i in {0 .. q - 1}:  log f(x) = sum_<ij> J_ij [x_i = x_j]   + sum_i h_i(x_i)

<ij>: neighbouring sites of a ``[height, width]`` grid, on a torus or with free edges; ``coupling`` J ``[2, height,
width]``: [0, r, c] joins site (r, c) to the one below it, [1, r, c] to the one on its right; ``field`` h ``[height,
width]``, for Potts ``[height, width, q]``. In nats: J is that of physics divided by the temperature. With spins (Ising)
or one-hot values (Potts) as phi, both are sum J phi.phi + sum h.phi, and the local field h_i + sum_j J_ij phi_j is both
what a site's conditional law needs and what log f gains by each of its values, exactly.

A uniform Ising model orders at J = log(1 + sqrt 2) / 2 = 0.4407, Potts at log(1 + sqrt q). log Z and exact draws come
from the transfer matrix where the shorter side is small (`deepgen.explicit.transfer`). Sources: Onsager 1944; Potts
1952; Wu 1982, "The Potts model".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.distributions.constraints import spin
from deepgen.errors import ShapeError, check_count
from deepgen.explicit import transfer
from deepgen.explicit.units import check_levels, check_support, require_tensor
from deepgen.random import categorical, resolve, uniform
from deepgen.samplers.checkerboard import Checkerboard
from deepgen.samplers.target import Beta


class Lattice(nn.Module, ABC):
    """What `Ising` and `Potts` share; ``features`` is all that differs."""

    trailing = 0  # axes of a site's features
    states: int
    joined: Tensor
    colours: Tensor

    def __init__(
        self, shape: Sequence[int], coupling: float | Tensor, field: float | Tensor, periodic: bool, *numbers: int
    ) -> None:
        super().__init__()
        if isinstance(shape, int) or len(shape) != 2:
            raise ShapeError(f"shape must be (height, width), got {shape!r}")
        check_count(height=shape[0], width=shape[1])
        self.shape = (int(shape[0]), int(shape[1]))
        self.periodic = bool(periodic)
        self.coupling = nn.Parameter(_expanded(coupling, (2, *self.shape), "coupling"))
        self.field = nn.Parameter(_expanded(field, (*self.shape, *numbers), "field"))
        self.register_buffer("joined", _joined(self.shape, self.periodic), persistent=False)
        self.register_buffer("colours", _colours(self.shape, self.periodic), persistent=False)

    def bonds(self) -> Tensor:
        """``coupling`` where there is a neighbour, else 0: ``[2, height, width]``."""
        return self.coupling * self.joined

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` holds values of the sites."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """phi: ``[..., height, width]``, and one more axis ``[q]`` for Potts."""

    @abstractmethod
    def values_given(self, field: Tensor, *, generator: torch.Generator) -> Tensor:
        """Every site drawn given its local field: ``[chains, height, width]``."""

    def local_field(self, x: Tensor) -> Tensor:
        """h_i + sum_j J_ij phi_j, shaped like `features`."""
        return self._field_of(self.features(self._checked(x)))

    def _field_of(self, phi: Tensor) -> Tensor:
        total: Tensor = self.field
        for axis, bond in self._axes():
            total = total + bond * phi.roll(-1, axis) + (bond * phi).roll(1, axis)
        return total

    def _axes(self) -> list[tuple[int, Tensor]]:
        bonds = self.bonds().reshape(2, *self.shape, *(1,) * self.trailing)
        return [(axis - 2 - self.trailing, bonds[axis]) for axis in range(2) if self.shape[axis] > 1]

    def log_density(self, x: Tensor) -> Tensor:
        """log f in nats: ``[batch, height, width] -> [batch]``."""
        phi = self.features(self._checked(x))
        inside: Tensor = self.field
        for axis, bond in self._axes():
            inside = inside + bond * phi.roll(-1, axis)
        return (phi * inside).flatten(-2 - self.trailing).sum(-1)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(log f ``[batch]``, what it gains by a site's features: the local field)."""
        phi = self.features(self._checked(x))
        local = self._field_of(phi)
        return (phi * (local + self.field) / 2).flatten(-2 - self.trailing).sum(-1), local

    def gibbs(self, beta: Beta = 1.0) -> Checkerboard:
        """Sites of one colour of the board at a time, given the others, at inverse temperature ``beta``.

        A number, or one a chain ``[chains]``. Two colours do; a torus with an odd side takes three.
        """
        return Checkerboard(self, beta)

    def log_partition(self) -> Tensor:
        """log Z in nats, 0-d float64, with gradients to ``coupling`` and ``field``; by the transfer matrix.

        Raises:
            ArgumentError: the shorter side has more than 1024 joint states (10 spins).
        """
        return transfer.log_partition(self)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` independent exact draws ``[n, height, width]``, row by row from the transfer matrix.

        Raises:
            ArgumentError: the shorter side has more than 1024 joint states: run the chain of `gibbs` instead.
        """
        check_count(n=n)
        return transfer.sample(self, n, generator=resolve(generator, self.field.device)).to(self.field)

    def _checked(self, x: Tensor) -> Tensor:
        require_tensor(x, "x")
        if x.ndim < 2 or x.shape[-2:] != self.shape:
            raise ShapeError(f"x must be [..., {self.shape[0]}, {self.shape[1]}], got {list(x.shape)}")
        return x

    def extra_repr(self) -> str:
        return f"{self.shape[0]} x {self.shape[1]}, {'periodic' if self.periodic else 'free edges'}"


class Ising(Lattice):
    """Spins in {-1, +1} on a grid; `LogDensity` and `Blocked`.

    Args:
        shape: (height, width).
        coupling: J in nats, a number for all pairs or ``[2, height, width]`` (a spin glass).
        field: h in nats, a number or ``[height, width]``.
        periodic: a torus; without, the edges are free. Along a side of 2 a torus joins each pair twice.

    ``coupling`` and ``field`` are parameters, so they can be learned (`log_partition` has gradients).

    >>> ising = Ising((2, 2), coupling=1.0, periodic=False)
    >>> ising.log_density(torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, -1.0]]])).tolist()
    [4.0, 0.0]
    >>> ising.log_partition()  # log(2 e^4 + 12 + 2 e^-4)
    tensor(4.7977, dtype=torch.float64, grad_fn=...)
    >>> ising.sample(3, generator=0).shape
    torch.Size([3, 2, 2])
    """

    support = spin
    states = 2

    def __init__(
        self,
        shape: Sequence[int],
        coupling: float | Tensor = 1.0,
        field: float | Tensor = 0.0,
        *,
        periodic: bool = True,
    ) -> None:
        super().__init__(shape, coupling, field, periodic)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`; coupling and field are saved as weights."""
        return {"shape": list(self.shape), "periodic": self.periodic}

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` is ``[..., height, width]`` of spins."""
        check_support(self._checked(x), (x == -1) | (x == 1), "-1 or +1")

    def features(self, x: Tensor) -> Tensor:
        """The spins themselves; any real numbers will do."""
        return x.to(self.field.dtype)

    def values_given(self, field: Tensor, *, generator: torch.Generator) -> Tensor:
        """+1 with probability 1 / (1 + e^-2f): ``[chains, height, width]``."""
        up = uniform(field.shape, generator=generator, dtype=field.dtype) < (2 * field).sigmoid()
        return up.to(field.dtype) * 2 - 1


class Potts(Lattice):
    """States 0 to q - 1 on a grid, equal neighbours rewarded; `LogDensity` and `Blocked`.

    Args:
        shape: (height, width).
        states: q, at least 2.
        coupling: J in nats, a number for all pairs or ``[2, height, width]``.
        field: h in nats, a number, ``[q]`` or ``[height, width, q]``.
        periodic: a torus; without, the edges are free. Along a side of 2 a torus joins each pair twice.

    Its ``value_and_gradient`` gives ``[batch, height, width, q]``, the gain by every value of every site, which the
    discrete proposals take in place of a gradient.

    >>> potts = Potts((2, 2), states=3, coupling=1.0, periodic=False)
    >>> potts.log_density(torch.tensor([[[0, 0], [0, 2]]]))
    tensor([2.], grad_fn=...)
    """

    trailing = 1

    def __init__(
        self,
        shape: Sequence[int],
        states: int,
        coupling: float | Tensor = 1.0,
        field: float | Tensor = 0.0,
        *,
        periodic: bool = True,
    ) -> None:
        check_count(2, states=states)
        super().__init__(shape, coupling, field, periodic, int(states))
        self.states = int(states)
        self.support: Any = constraints.integer_interval(0, self.states - 1)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`; coupling and field are saved as weights."""
        return {"shape": list(self.shape), "states": self.states, "periodic": self.periodic}

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` is ``[..., height, width]`` of states."""
        check_levels(self._checked(x), self.states)

    def features(self, x: Tensor) -> Tensor:
        """One-hot: ``[..., height, width] -> [..., height, width, q]``."""
        try:
            return F.one_hot(x.long(), self.states).to(self.field.dtype)
        except RuntimeError:  # the device tells what is out of range, so a right call costs nothing
            self.check(x)
            raise

    def values_given(self, field: Tensor, *, generator: torch.Generator) -> Tensor:
        """State k with probability softmax(f)_k: ``[chains, height, width, q] -> [chains, height, width]``."""
        return categorical(field, generator=generator).to(field.dtype)


def _expanded(value: float | Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    value = torch.as_tensor(value, dtype=torch.get_default_dtype()).detach()
    try:
        return value.expand(shape).clone()
    except RuntimeError:
        raise ShapeError(f"{name} must be a number or {list(shape)}, got {list(value.shape)}") from None


def _joined(shape: tuple[int, int], periodic: bool) -> Tensor:
    """Where a site has a neighbour below, and on its right: bool ``[2, height, width]``."""
    joined = torch.ones(2, *shape, dtype=torch.bool)
    if not periodic or shape[0] == 1:
        joined[0, -1] = False
    if not periodic or shape[1] == 1:
        joined[1, :, -1] = False
    return joined


def _colours(shape: tuple[int, int], periodic: bool) -> Tensor:
    """Masks ``[2 or 3, height, width]`` of sites none of which are neighbours.

    Around an odd ring two colours cannot alternate: its last site takes a third. The colours of two rings added,
    modulo 3, differ between neighbours as those of one ring do.
    """
    odd = [periodic and side > 1 and side % 2 == 1 for side in shape]
    rings = [torch.arange(side) % 2 for side in shape]
    for ring, is_odd in zip(rings, odd, strict=True):
        if is_odd:
            ring[-1] = 2
    count = 3 if any(odd) else 2
    colour = (rings[0].unsqueeze(1) + rings[1]) % count
    return torch.stack([colour == k for k in range(count)])
