"""Exact log Z and exact draws of grid models whose shorter side is small, row by row.

    log f(x) = sum_r [w_r(x_r) + t_r(x_r, x_r+1)],        x_r: the r-th row, one of K = q^width states
    b_r(x_r) = sum over the rows below of their part of f:  b_r = exp(t_r) (exp(w_r+1) b_r+1),   Z = sum exp(w_0) b_0

Draws go down again: x_r+1 has probability exp(t_r(x_r, x_r+1) + w_r+1(x_r+1)) b_r+1(x_r+1), normalised. Around a torus
b_r carries the first row as a second index. Cost: height * K^2 with free edges, height * K^3 on a torus; memory
height * K^2 there. In float64 with a scale for every row and column of a product, so nothing overflows. Source:
Kramers & Wannier 1941.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ArgumentError
from deepgen.explicit.units import digits
from deepgen.random import categorical

if TYPE_CHECKING:
    from deepgen.explicit.lattice import Lattice

MOST = 1024  # states of a row


class Rows:
    """The grid as a chain of rows along its longer side, in float64.

    ``within(r)`` is w_r ``[K]`` and ``between(r)`` t_r ``[K, K]``.

    >>> from deepgen.explicit import Ising
    >>> rows = Rows(Ising((3, 2), coupling=0.5, periodic=False))
    >>> rows.between(0)[0]  # row (-1, -1) above every row
    tensor([ 1.,  0.,  0., -1.], dtype=torch.float64, grad_fn=...)
    """

    def __init__(self, model: Lattice) -> None:
        bonds, field = model.bonds().double(), model.field.double()
        self.turned = model.shape[0] < model.shape[1]
        if self.turned:
            bonds, field = bonds.flip(0).transpose(1, 2), field.transpose(0, 1)
        self.height, width = bonds.shape[1:]
        states = model.states**width
        if states > MOST:
            raise ArgumentError(
                f"exact answers of a grid take at most {MOST} states of its shorter side, and this one has "
                f"{model.states}^{width}: run the chain of gibbs(), or take a narrower grid"
            )
        self.values = digits(0, states, model.states, width).to(bonds.device)
        if model.trailing:
            self.phi = torch.nn.functional.one_hot(self.values, model.states).double()
        else:
            self.values = self.values * 2 - 1
            self.phi = self.values.double().unsqueeze(-1)
            field = field.unsqueeze(-1)
        self.bonds, self.field = bonds.unsqueeze(-1), field
        self.ring = model.periodic and self.height > 1

    def within(self, r: int) -> Tensor:
        return (self.phi * (self.field[r] + self.bonds[1, r] * self.phi.roll(-1, 1))).sum((1, 2))

    def between(self, r: int) -> Tensor:
        return (self.phi * self.bonds[0, r]).flatten(1) @ self.phi.flatten(1).T

    def below(self) -> list[Tensor]:
        """log b_r for every row: ``[K, 1]``, or ``[K, K]`` on a torus, whose columns are the first row."""
        last = self.between(self.height - 1) if self.ring else self.phi.new_zeros(len(self.phi), 1)
        found = [last]
        for r in range(self.height - 2, -1, -1):
            found.append(_log_product(self.between(r), self.within(r + 1).unsqueeze(1) + found[-1]))
        return found[::-1]

    def first(self, below: Tensor) -> Tensor:
        """log of the mass of every first row: ``[K]``."""
        return self.within(0) + (below.diagonal() if self.ring else below[:, 0])


def log_partition(model: Lattice) -> Tensor:
    """log Z in nats, 0-d float64, differentiable.

    >>> from deepgen.explicit import Ising
    >>> ising = Ising((1, 8), coupling=0.5)  # a ring: Z = (2 cosh J)^8 + (2 sinh J)^8
    >>> z = (2 * torch.tensor(0.5).cosh()) ** 8 + (2 * torch.tensor(0.5).sinh()) ** 8
    >>> bool((log_partition(ising) - z.log()).abs() < 1e-5)
    True
    """
    rows = Rows(model)
    return rows.first(rows.below()[0]).logsumexp(0)


def sample(model: Lattice, n: int, *, generator: torch.Generator) -> Tensor:
    """``n`` independent exact draws: ``[n, height, width]``, int64; ``n`` times K numbers are held at once.

    >>> import deepgen as dg
    >>> sample(dg.explicit.Potts((2, 3), states=3), 5, generator=dg.random.generator(0)).shape
    torch.Size([5, 2, 3])
    """
    rows = Rows(model)
    below = rows.below()
    drawn = [categorical(rows.first(below[0]).expand(n, -1), generator=generator)]
    for r in range(1, rows.height):
        rest = rows.within(r).unsqueeze(1) + below[r]
        ends = rest.T[drawn[0]] if rows.ring else rest.T
        drawn.append(categorical(rows.between(r - 1)[drawn[-1]] + ends, generator=generator))
    x = rows.values[torch.stack(drawn, 1)]
    return x.transpose(1, 2) if rows.turned else x


def _log_product(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) @ exp(b))."""
    row, column = a.detach().amax(1, keepdim=True), b.detach().amax(0, keepdim=True)
    product = (a - row).exp() @ (b - column).exp()
    nothing = product == 0  # underflown: log 0 is right there, but its gradient would be 0 / 0
    return product.masked_fill(nothing, 1.0).log().masked_fill(nothing, -torch.inf) + row + column
