"""Discrete supports as proposals see them: what log f gains, to first order, by every other value of every variable.

    gain(i, k) = g_i . (x_i with value shifted by k - x_i),        k = 1 .. q - 1,  values taken round in a circle

g is the gradient of log f continued to real x; where log f is linear in each variable (Ising, one-hot Potts, pairwise
models) the gain is exact. A shift by k is undone by one of q - k, and two values have one shift, their flip. What a
support must know is written here once for all proposals:

    boolean, spin            q = 2
    integer_interval         q values; an ordinary gradient is along the number line, one of ``[chains, *event, q]``
                             (`Potts`) has a gain for every value by itself
    one_hot, OneHotGroups    q = length of a group; the gradient of the indicators

Sites are the variables, flattened: ``[chains, sites]``, gains and distances ``[chains, sites, q - 1]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints

from deepgen.distributions.constraints import OneHotGroups, spin
from deepgen.errors import MissingCapability, SupportError
from deepgen.samplers.laws import innermost
from deepgen.samplers.target import Beta, Target, rowwise


class Alphabet(Protocol):
    """The values of one variable; ``size`` is q."""

    @property
    def size(self) -> int: ...

    def moves(self, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor | float]:
        """(gains ``[chains, sites, q - 1]``, squared distances that broadcast to them)."""

    def shift(self, x: Tensor, by: Tensor) -> Tensor:
        """``x`` with every variable shifted by ``by`` ``[chains, sites]``, 0 to q - 1."""


@dataclass(frozen=True)
class Pair:
    """Two values, ``low`` and ``high``.

    >>> Pair(-1.0, 1.0).moves(torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, 4.0]]))[0].flatten()
    tensor([-6.,  8.])
    """

    low: float
    high: float
    size: int = 2

    def moves(self, x: Tensor, gradient: Tensor) -> tuple[Tensor, float]:
        gain = (self.low + self.high - 2 * x) * gradient
        return gain.reshape(len(x), -1, 1), (self.high - self.low) ** 2

    def shift(self, x: Tensor, by: Tensor) -> Tensor:
        return torch.where(by.reshape(x.shape) > 0, self.low + self.high - x, x)


@dataclass(frozen=True)
class Integers:
    """``size`` integers from ``low`` on.

    >>> Integers(0, 3).shift(torch.tensor([[0.0, 2.0]]), torch.tensor([[1, 2]]))
    tensor([[1., 1.]])
    """

    low: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 2:
            raise SupportError(f"a variable must have two values or more for a chain to move, got {self.size}")

    def moves(self, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor | float]:
        index = (x - self.low).long().reshape(len(x), -1)
        if gradient.ndim > x.ndim:
            return gains(gradient.reshape(*index.shape, self.size), index), 2.0
        step = others(index, self.size) - index.unsqueeze(-1)
        return gradient.reshape(*index.shape, 1) * step, step.square()

    def shift(self, x: Tensor, by: Tensor) -> Tensor:
        return self.low + (x - self.low + by.reshape(x.shape)) % self.size


@dataclass(frozen=True)
class OneHot:
    """One-hot groups of ``size`` entries side by side on the last axis.

    >>> OneHot(3).shift(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[2]]))
    tensor([[0., 0., 1.]])
    """

    size: int

    def moves(self, x: Tensor, gradient: Tensor) -> tuple[Tensor, float]:
        grouped = (len(x), -1, self.size)
        return gains(gradient.reshape(grouped), x.reshape(grouped).argmax(-1)), 2.0

    def shift(self, x: Tensor, by: Tensor) -> Tensor:
        index = (x.reshape(len(x), -1, self.size).argmax(-1) + by) % self.size
        return F.one_hot(index, self.size).to(x).reshape(x.shape)


def others(index: Tensor, size: int) -> Tensor:
    """The other values of each variable, in order of their shifts: ``[..., size - 1]``.

    >>> others(torch.tensor([0, 2]), 3)
    tensor([[1, 2],
            [0, 1]])
    """
    return (index.unsqueeze(-1) + torch.arange(1, size, device=index.device)) % size


def gains(field: Tensor, index: Tensor) -> Tensor:
    """What ``field`` ``[..., q]`` has at the other values, less what it has at ``index``: ``[..., q - 1]``."""
    return field.gather(-1, others(index, field.shape[-1])) - field.gather(-1, index.unsqueeze(-1))


def alphabet_of(target: Target, x: Tensor) -> Alphabet:
    """The `Alphabet` of a target's support.

    Raises:
        MissingCapability: the support is not one of the above.

    >>> alphabet_of(Target(lambda x: x.sum(-1), support=constraints.boolean), torch.zeros(2, 3)).size
    2
    """
    found = _known(target, x)
    if found is None:
        raise MissingCapability(
            "this kernel flips the values of a discrete target, and the support is "
            f"{innermost(target.support)}: hand over support=constraints.boolean, deepgen.distributions.spin, "
            "constraints.integer_interval(0, q - 1) or constraints.one_hot"
        )
    return found


def _known(target: Target, x: Tensor) -> Alphabet | None:
    support: Any = innermost(target.support)
    if isinstance(support, type(constraints.boolean)):
        return Pair(0.0, 1.0)
    if isinstance(support, type(spin)):
        return Pair(-1.0, 1.0)
    if isinstance(support, OneHotGroups):
        return OneHot(support.categories)
    if isinstance(support, type(constraints.one_hot)):
        return OneHot(x.shape[-1])
    if isinstance(support, constraints.integer_interval):
        low = int(support.lower_bound)
        return Integers(low, int(support.upper_bound) - low + 1)
    return None


def log_states(target: Target, x: Tensor) -> float | None:
    """log of the number of values that an event has, log Z of a density of 1; None where that is not known.

    >>> log_states(Target(lambda x: x.sum(-1), support=constraints.boolean), torch.zeros(2, 3)) / math.log(2)
    3.0
    """
    alphabet = _known(target, x)
    return None if alphabet is None else count_sites(alphabet, x) * math.log(alphabet.size)


def count_sites(alphabet: Alphabet, x: Tensor) -> int:
    """How many variables an event of ``x`` ``[chains, *event]`` has.

    >>> count_sites(OneHot(3), torch.eye(3).repeat(1, 2))
    2
    """
    return x[0].numel() // (alphabet.size if isinstance(alphabet, OneHot) else 1)


def move_of(number: Tensor, alphabet: Alphabet, moves: int) -> tuple[Tensor, Tensor]:
    """(the variable, its shift) of moves that are numbered as gains are, flattened; number ``moves`` is to stay.

    >>> move_of(torch.tensor([0, 1, 2, 4]), Integers(0, 3), 4)
    (tensor([0, 0, 1, 0]), tensor([1, 2, 1, 0]))
    """
    stay = number == moves
    others = alphabet.size - 1
    return torch.where(stay, 0, number // others), torch.where(stay, 0, number % others + 1)


def shifted(alphabet: Alphabet, x: Tensor, site: Tensor, by: Tensor) -> Tensor:
    """``x`` with variable ``site`` shifted by ``by``, both ``[chains, times]``, one after another.

    >>> shifted(Pair(0.0, 1.0), torch.zeros(1, 3), torch.tensor([[0, 2, 2]]), torch.tensor([[1, 1, 1]]))
    tensor([[1., 0., 0.]])
    """
    total = torch.zeros(len(x), count_sites(alphabet, x), dtype=torch.int64, device=x.device)
    return alphabet.shift(x, total.scatter_add_(1, site, by) % alphabet.size)


def tempered_moves(alphabet: Alphabet, target: Target, state: Any, beta: Beta) -> tuple[Tensor, Tensor | float]:
    """``alphabet.moves`` of f^beta r^(1 - beta) from a state with ``position`` and the ``gradient`` of log f."""
    x = state.position
    gain, distance = alphabet.moves(x, state.gradient)
    if isinstance(beta, float) and beta == 1.0:
        return gain, distance
    power = rowwise(beta, gain)
    gain = power * gain
    if target.reference is not None:
        gain = gain + (1 - power) * alphabet.moves(x, target.reference_gradient(x))[0]
    return gain, distance
